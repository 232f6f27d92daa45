"""Which errors belong to an error."""

from healthingest_contract.related_errors import related_errors


class WrappedError(Exception):
    """An error of a library that keeps the original in an attribute."""

    def __init__(self, original: BaseException) -> None:
        super().__init__()
        self.original = original


def test_causes_contexts_members_and_originals_are_found() -> None:
    """Each once, the error itself first."""
    cause = ValueError()
    context = KeyError()
    original = OSError()
    member = WrappedError(original)
    member.__context__ = context
    group = ExceptionGroup("both", [member, TypeError()])
    group.__cause__ = cause
    found = list(related_errors(group, "original"))
    assert found[0] is group
    assert set(found) == {group, *group.exceptions, cause, context, original}
    assert original not in list(related_errors(group))


def test_a_circle_ends() -> None:
    """Two errors can be each other's context."""
    first = ValueError()
    second = KeyError()
    first.__context__ = second
    second.__context__ = first
    assert len(list(related_errors(first))) == 20
