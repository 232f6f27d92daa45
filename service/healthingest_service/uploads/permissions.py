"""Who may do what with an upload. Pure functions, the only place of these decisions."""

from healthingest_service.identity.model import Principal, Scope
from healthingest_service.uploads.model import Upload


def may_read_content(principal: Principal, upload: Upload) -> bool:
    """Return whether *principal* may download the file of *upload*: its owner may."""
    return principal.may(Scope.UPLOAD_READ) and upload.owner == principal.account_id
