"""The command offers the values that the service knows."""

from healthingest_client.arguments import SCOPES, STATES
from healthingest_service.identity.device_tokens import GRANTABLE
from healthingest_service.uploads.model import UploadState


def test_scopes_of_tokens_are_those_of_the_service() -> None:
    """Those that a device token may have."""
    assert sorted(SCOPES) == sorted(GRANTABLE)


def test_states_of_uploads_are_those_of_the_service() -> None:
    """The list can be filtered by each."""
    assert sorted(STATES) == sorted(UploadState)
