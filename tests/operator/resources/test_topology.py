"""What is known of a broker's users."""

import base64
import hashlib

import pytest

from healthingest_operator.resources.topology import is_password

SALT = b"salt"


@pytest.mark.parametrize("name", ["sha256", "sha512", "md5"])
def test_a_password_is_known_by_its_hash(name: str) -> None:
    """
    Whichever of RabbitMQ's own algorithms made it.

    An older broker does not say which, and has the default.
    """
    digest = hashlib.new(name, SALT + b"word").digest()
    user = {
        "password_hash": base64.b64encode(SALT + digest).decode(),
        "hashing_algorithm": f"rabbit_password_hashing_{name}",
    }
    assert is_password(user, "word")
    assert not is_password(user, "other")
    assert is_password({"password_hash": user["password_hash"]}, "word") is (name == "sha256")


def test_a_hash_of_an_unknown_module_is_left_to_the_login() -> None:
    """To set the password again at each look would close the relay's connection each time."""
    assert is_password({"password_hash": "b3duCg==", "hashing_algorithm": "of_their_own"}, "word")
    assert not is_password({"password_hash": "", "hashing_algorithm": "of_their_own"}, "word")
    assert not is_password({"password_hash": "no base64!"}, "word")
    assert not is_password({}, "word")
