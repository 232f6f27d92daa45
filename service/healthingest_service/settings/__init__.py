"""
Every setting, in one documented group per concern; read once, by `main`.

`HEALTHINGEST_<GROUP>__<FIELD>` sets a field. A secret may instead be a file, called as its
variable, in the folder that `HEALTHINGEST_SECRETS_DIR` names. Without any setting everything runs
in one process and one data folder.
"""

from healthingest_service.settings.reading import (
    InvalidSettingsError,
    Settings,
    known_names,
    load,
    unknown_names,
)

__all__ = ["InvalidSettingsError", "Settings", "known_names", "load", "unknown_names"]
