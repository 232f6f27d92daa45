"""The corpus of attacks: every file is refused, with its code, by both forms, quickly."""

import time

from avrogate import Code, compiled
from support.avro.hostile import hostile_files
from support.avro.judging import codes
from support.avro.pure import pure

VERDICT_SECONDS = 2.0


def test_there_are_hundreds_of_them() -> None:
    """At least two hundred, each with a name of its own."""
    names = [hostile.name for hostile in hostile_files()]
    assert len(names) >= 200
    assert len(set(names)) == len(names)


def test_each_is_refused_with_its_code() -> None:
    """By the installed form, fed at once or in small chunks; compiled, no verdict takes more than two seconds."""
    wrong, slow = [], []
    for hostile in hostile_files():
        before = time.process_time()
        found = codes(hostile.file)[-1:]
        slow += [hostile.name] if time.process_time() - before > VERDICT_SECONDS else []
        again = codes(hostile.file, chunk=1 if len(hostile.file) < 2000 else 4096)[-1:]
        if not found == again == [hostile.code]:
            wrong.append((hostile.name, hostile.code, found, again))
    assert wrong == []
    assert not compiled or slow == []  # interpreted, the same steps take many times as long


def test_the_interpreted_form_says_the_same() -> None:
    """Code for code."""
    other = pure()
    assert not other.compiled
    differing = []
    for hostile in hostile_files():
        if "more doubles than fit" in hostile.name or hostile.name.startswith("costly"):
            continue  # eight million records take it half a minute
        try:
            other.check([hostile.file], other.Policy())
        except other.RefusedError as refused:
            if refused.findings[-1].code == hostile.code:
                continue
        differing.append(hostile.name)
    assert differing == []


def test_every_code_but_those_of_policies_has_an_example() -> None:
    """A code that nothing can lead to would be no code; the rest are shown by the tests of policies and of readers."""
    shown = {hostile.code for hostile in hostile_files()}
    elsewhere = {
        Code.RECORD_TYPE_NOT_ALLOWED,
        Code.SCHEMA_NOT_ALLOWED,
        Code.CALENDAR_RANGE,
        *(code for code in Code if code.startswith("reader_")),
    }
    assert set(Code) - shown == elsewhere
