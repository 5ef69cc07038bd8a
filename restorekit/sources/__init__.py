"""Clean photographs of installed packages and of the user's folders, their splits, and real pairs."""

from restorekit.sources.collection import Collection, collect_photographs
from restorekit.sources.photo_index import (
    SPLITS,
    LoadedPhotograph,
    Photograph,
    PhotoIndex,
    PhotoManifest,
    load_photograph,
)

__all__ = [
    "SPLITS",
    "Collection",
    "LoadedPhotograph",
    "PhotoIndex",
    "PhotoManifest",
    "Photograph",
    "collect_photographs",
    "load_photograph",
]
