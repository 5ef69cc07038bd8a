"""Clean photographs: those inside installed packages, the user's own, and the manifest that splits them."""

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
