"""The errors of the audit log."""


class AuditError(Exception):
    """The base class of all errors of the audit log."""


class AuditUnavailableError(AuditError):
    """The database or the store of anchors gave no clear answer; repeating is safe."""


class ChainMovedError(AuditError):
    """Another process has extended the chain meanwhile; nothing was written."""
