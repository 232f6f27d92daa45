"""
All settings of the service, in one group per concern; only `main` reads them.

The variable `HEALTHINGEST_<GROUP>__<FIELD>` sets a field. A secret can also be a file with the name
of the variable, in the folder `HEALTHINGEST_SECRETS_DIR`. Without any setting the service runs in
one process, with all data in one folder.
"""

from healthingest_service.settings.reading import (
    InvalidSettingsError,
    Settings,
    known_names,
    load,
    unknown_names,
)

__all__ = ["InvalidSettingsError", "Settings", "known_names", "load", "unknown_names"]
