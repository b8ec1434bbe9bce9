"""The exact sweep of an occluder: only what a covered square can change is computed again.

Everything but `Sweeper` is private to this folder.
"""

from lecture_utils.exact.sweeper import Sweeper

__all__ = ["Sweeper"]
