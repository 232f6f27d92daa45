"""
Replaces the module `cython` where the walker is not compiled.

Annotations are never evaluated, so it needs no types.
"""

from typing import Final

compiled: Final = False
