from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthingest_service.api.multipart import OVERHEAD_BYTES, boundary_of, file_of, opened
from healthingest_service.api.problems import RequestRefusedError

BOUNDARY = b"limit"


def part(name: str, content: bytes) -> bytes:
    """One part of a form."""
    head = f'--limit\r\nContent-Disposition: form-data; name="{name}"; filename="x"\r\n\r\n'
    return head.encode() + content + b"\r\n"


END = b"--limit--\r\n"


async def read(form: bytes, size: int) -> bytes:
    """The file in *form*, which comes in chunks of *size*."""

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(form), size):
            yield form[start : start + size]

    return b"".join([piece async for piece in file_of(chunks(), BOUNDARY)])


@given(content=st.binary(max_size=300), size=st.integers(min_value=1, max_value=400))
async def test_finds_the_bytes_however_they_come(content: bytes, size: int) -> None:
    """Chunks of any size give the same file, line ends and dashes in it included."""
    content = content.replace(b"--limit", b"")
    form = part("note", b"x") + part("file", content + b"\r\n--lim") + END
    assert await read(form, size) == content + b"\r\n--lim"


@given(preamble=st.binary(max_size=300), size=st.integers(min_value=1, max_value=400))
async def test_what_stands_before_is_ignored(preamble: bytes, size: int) -> None:
    """A preamble that ends in a line end, dashes and line ends in it included (RFC 2046, 5.1.1)."""
    preamble = preamble.replace(b"--limit", b"") + b"--lim\r\n"
    assert await read(preamble + part("file", b"x") + END, size) == b"x"


@pytest.mark.parametrize(
    "form",
    [
        b"",
        END,
        part("other", b"x") + END,
        part("file", b"x"),
        part("file", b"x") + part("file", b"y") + END,
        part("note", bytes(OVERHEAD_BYTES)) + part("file", b"x") + END,
        b"no form at all",
        b"preamble on the same line " + part("file", b"x") + END,
        b"x" * OVERHEAD_BYTES + b"\r\n" + part("file", b"x") + END,
        b"--limit\r\n" + b"X: y\r\n" * 1000 + b"\r\nx\r\n" + END,
    ],
)
async def test_refuses_what_is_no_form_with_one_file(form: bytes) -> None:
    """No file, two, an unfinished form, too much beside the file, no form: refused."""
    with pytest.raises(RequestRefusedError):
        await read(form, 1000)


def test_needs_a_boundary() -> None:
    """A form without one cannot be read."""
    assert boundary_of('multipart/form-data; boundary="a b"') == b"a b"
    with pytest.raises(RequestRefusedError):
        boundary_of("multipart/form-data")


def _chunks(form: bytes, size: int) -> AsyncIterator[bytes]:
    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(form), size):
            yield form[start : start + size]

    return chunks()


@given(size=st.integers(min_value=1, max_value=400))
async def test_text_fields_come_before_the_file(size: int) -> None:
    """They are known before the file is read, however the form comes; others are ignored."""
    form = part("note", b"x") + part("subject", b"P-1") + part("study", b"sleep")
    found = await opened(_chunks(form + part("file", b"content") + END, size), BOUNDARY)
    assert found.fields == {"study": "sleep", "subject": "P-1"}
    assert b"".join([piece async for piece in found.file]) == b"content"


@pytest.mark.parametrize(
    "form",
    [
        part("study", b"a") + part("study", b"a") + part("file", b"x") + END,
        part("file", b"x") + part("study", b"a") + END,
        part("subject", b"s" * 65) + part("file", b"x") + END,
    ],
)
@pytest.mark.parametrize("size", [1, 1000])
async def test_a_text_field_in_the_wrong_place_is_refused(form: bytes, size: int) -> None:
    """Twice, after the file, or too long."""
    with pytest.raises(RequestRefusedError):
        await read(form, size)
