"""The seven natural scenes in scikit-image's and scikit-learn's wheels: no download, and a fixed split.

The packages state the licences in `skimage/data/_fetchers.py` and `sklearn/datasets/images/README.txt`. The test scenes
are in the public domain or CC0, so that pictures of results may be shown.
"""

import shutil
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from restorekit.errors import RestorekitError
from restorekit.files import sha256_file
from restorekit.image import read_image
from restorekit.sources.photo_index import Photograph, SplitName


@dataclass(frozen=True)
class EmbeddedPhotograph:
    """A photograph in a package: its path, and the package's statements about the photograph."""

    name: str
    package: str
    path: str  # within the package
    license: str
    source: str
    split: SplitName
    scene: str
    disparity: str | None = None  # an .npz in the package: pixels between the left and the right view


_MIDDLEBURY = (
    "no licence stated; Middlebury 2014 stereo benchmark, for research: cite Scharstein et al., High-resolution stereo "
    "datasets with subpixel-accurate ground truth, GCPR 2014"
)

EMBEDDED: tuple[EmbeddedPhotograph, ...] = (
    EmbeddedPhotograph(
        name="astronaut",
        package="skimage",
        path="data/astronaut.png",
        license="public domain",
        source="scikit-image: Eileen Collins, NASA Great Images; no known copyright restrictions",
        split="train",
        scene="astronaut",
    ),
    EmbeddedPhotograph(
        name="motorcycle_left",
        package="skimage",
        path="data/motorcycle_left.png",
        license=_MIDDLEBURY,
        source="scikit-image: Middlebury 2014 motorcycle, left view at a quarter of its size, with measured disparity",
        split="train",
        scene="motorcycle",
        disparity="data/motorcycle_disp.npz",
    ),
    EmbeddedPhotograph(
        name="motorcycle_right",
        package="skimage",
        path="data/motorcycle_right.png",
        license=_MIDDLEBURY,
        source="scikit-image: Middlebury 2014 motorcycle, right view at a quarter of its size",
        split="train",
        scene="motorcycle",
    ),
    EmbeddedPhotograph(
        name="china",
        package="sklearn",
        path="datasets/images/china.jpg",
        license="CC-BY-2.0",
        source="scikit-learn: photograph 6061409035 on Flickr, by danielbuechele",
        split="train",
        scene="china",
    ),
    EmbeddedPhotograph(
        name="flower",
        package="sklearn",
        path="datasets/images/flower.jpg",
        license="CC-BY-2.0",
        # scikit-learn's text names danielbuechele here too, but its links and the file's IPTC data name vultilion.
        source="scikit-learn: photograph 6056698931 on Flickr, by vultilion",
        split="train",
        scene="flower",
    ),
    EmbeddedPhotograph(
        name="coffee",
        package="skimage",
        path="data/coffee.png",
        license="CC0-1.0",
        source="scikit-image: Pikolo Espresso Bar, by Rachel Michetti",
        split="val",
        scene="coffee",
    ),
    EmbeddedPhotograph(
        name="rocket",
        package="skimage",
        path="data/rocket.jpg",
        license="public domain",
        source="scikit-image: launch of DSCOVR, by SpaceX, released into the public domain",
        split="test",
        scene="rocket",
    ),
    EmbeddedPhotograph(
        name="chelsea",
        package="skimage",
        path="data/chelsea.png",
        license="CC0-1.0",
        source="scikit-image: Chelsea the cat, by Stefan van der Walt",
        split="test",
        scene="chelsea",
    ),
)

_DISTRIBUTIONS = {"skimage": "scikit-image", "sklearn": "scikit-learn", "matplotlib": "matplotlib"}


def copy_embedded(embedded: EmbeddedPhotograph, folder: Path) -> Photograph:
    """Copies one embedded photograph, and its disparity as .npy, into `folder`."""
    found = file_of(embedded.package, embedded.path)
    file = folder / f"{embedded.name}{found.suffix}"
    shutil.copyfile(found, file)
    photo = read_image(file)
    disparity = _copy_disparity(embedded, folder) if embedded.disparity else None
    return Photograph(
        name=embedded.name,
        file=file.name,
        width=photo.width,
        height=photo.height,
        sha256=sha256_file(file),
        bytes=file.stat().st_size,
        license=embedded.license,
        source=embedded.source,
        split=embedded.split,
        scene=embedded.scene,
        disparity=disparity.name if disparity else None,
        disparity_sha256=sha256_file(disparity) if disparity else None,
    )


def _copy_disparity(embedded: EmbeddedPhotograph, folder: Path) -> Path:
    """Copies a disparity as .npy; unknown values, infinite in the package, become NaN."""
    with np.load(file_of(embedded.package, embedded.disparity or ""), allow_pickle=False) as arrays:
        disparity = arrays["arr_0"].astype(np.float32)
    disparity[~np.isfinite(disparity)] = np.nan
    file = folder / f"{embedded.name}.disparity.npy"
    np.save(file, disparity, allow_pickle=False)
    return file


def file_of(package: str, path: str) -> Path:
    """The path of a file in an installed package, without importing the package."""
    spec = find_spec(package)
    distribution = _DISTRIBUTIONS[package]
    if spec is None or spec.origin is None:
        raise RestorekitError(
            f"{distribution} is not installed, and photos.packages takes photographs from it: "
            f"install it, or set photos.packages: false and name photos.folders"
        )
    file = Path(spec.origin).parent / path
    if not file.is_file():
        raise RestorekitError(
            f"the installed {distribution} has no {path}: reinstall it, or set photos.packages: false"
        )
    return file
