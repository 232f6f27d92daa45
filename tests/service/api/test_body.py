from starlette.requests import Request

from healthingest_service.api.body import declared_size


def test_reads_a_length_as_digits_alone() -> None:
    """Signs, blanks and foreign digits are no length."""
    for text, expected in (
        ("12", 12),
        ("+1", None),
        ("-1", None),
        ("1 ", None),
        ("٣", None),
        ("", None),
    ):
        scope = {"type": "http", "headers": [(b"content-length", text.encode())]}
        assert declared_size(Request(scope)) == expected
