"""Who may do what with an upload. Pure functions, the only place of these decisions."""

from healthingest_service.identity.model import Principal, Scope
from healthingest_service.studies.model import DEFAULT_STUDY, Role, Standing
from healthingest_service.uploads.model import Upload

_READERS = frozenset({Role.READER, Role.MANAGER})


def is_owner(principal: Principal, upload: Upload) -> bool:
    """Return whether *upload* belongs to the account of *principal*."""
    return upload.owner == principal.account_id


def may_read(principal: Principal, upload: Upload, standing: Standing) -> bool:
    """
    Return whether *principal*, with *standing* in the study of *upload*, may read it.

    Its owner may, and the readers and managers of its study. A token for one study or subject reads
    its own uploads only.
    """
    if not principal.may(Scope.UPLOAD_READ):
        return False
    return is_owner(principal, upload) or _reads_the_study(principal, upload, standing)


def may_report(principal: Principal, upload: Upload, standing: Standing) -> bool:
    """
    Return whether *principal*, with *standing* in the study of *upload*, may report its outcome.

    The readers and managers of its study may, and administrators of the installation, whose
    consumers get the uploads of all studies. Its owner may not: a device cannot know it.
    """
    if not principal.may(Scope.OUTCOME_WRITE) or principal.binding is not None:
        return False
    return standing.is_admin or _reads_the_study(principal, upload, standing)


def _reads_the_study(principal: Principal, upload: Upload, standing: Standing) -> bool:
    is_reader = not standing.roles.isdisjoint(_READERS)
    return is_reader and upload.study != DEFAULT_STUDY and principal.binding is None
