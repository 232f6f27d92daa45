from dataclasses import replace

from healthingest_service.identity.model import Principal, Scope
from healthingest_service.uploads.permissions import may_read_content
from support.uploads import owner, upload


def test_the_owner_may_read_the_content() -> None:
    """With the scope to read, and nobody else."""
    new = upload()
    reader = Principal(new.owner, frozenset({Scope.UPLOAD_READ}), "token")
    assert may_read_content(reader, new)
    assert not may_read_content(replace(reader, account_id=owner()), new)
    assert not may_read_content(replace(reader, scopes=frozenset({Scope.UPLOAD_WRITE})), new)
