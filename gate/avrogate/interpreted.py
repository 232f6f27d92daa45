"""
What stands for Cython's own module where the walker is not compiled.

Types are never evaluated.
"""

from typing import Final

compiled: Final = False
