"""The form of what a consumer reports: its name, and its reason."""

import re
from typing import Final

CODE_PATTERN: Final = "[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?"
"""1 to 64 characters, too few and too plain for contents of a file."""
_CODE: Final = re.compile(CODE_PATTERN)


def is_code(text: str) -> bool:
    """Return whether *text* has this form."""
    return _CODE.fullmatch(text) is not None
