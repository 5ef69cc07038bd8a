"""Restoring photographs of any size with a network, within a memory budget."""

from restorekit.inference.restorer import Restorer

__all__ = ["Restorer"]
