"""Kubernetes quantities."""

from healthingest_operator.resources.quantities import same_quantity


def test_a_fingerprint_is_no_quantity() -> None:
    """One in hexadecimal may read as a number whose exponent no machine can hold."""
    assert not same_quantity("9e37760821124204", "9e37760821124205")
