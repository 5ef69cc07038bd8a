"""Real pairs of a degraded and a clean photograph in a user's folder: complete by their layout, or an error."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from restorekit.errors import RestorekitError
from restorekit.files import digest_of, sha256_file
from restorekit.image import read_image, to_uint8
from restorekit.layouts import LAYOUTS, Layout, get_layout
from restorekit.sources.alignment import shift_note
from restorekit.sources.folders import FILL, HOLE, list_pictures
from restorekit.sources.matching import Matched, MatchedPair, listed, match_names, resembling

SHOWN = 5  # files named in an error


@dataclass(frozen=True)
class RealPair:
    """A pair with all its files; names are POSIX paths below the root, digests those of the files."""

    key: str
    scene: str
    input: str
    target: str | None
    layer: str | None
    mask: str | None
    halves: bool  # the input's file holds the clean image left and the degraded one right
    width: int  # pixels of the degraded image, upright
    height: int
    input_sha256: str
    target_sha256: str | None
    layer_sha256: str | None
    mask_sha256: str | None


@dataclass(frozen=True)
class LoadedPair:
    """The images of a pair, uint8 (H, W, 3) sRGB of one size; the mask is uint8 (H, W), 255 = missing."""

    degraded: np.ndarray
    clean: np.ndarray | None
    layer: np.ndarray | None
    mask: np.ndarray | None = None


def find_pairs(where: str, root: Path, layout: str, expected: int | None = None) -> tuple[RealPair, ...]:
    """All pairs below `root`, sorted by the input's name; every file is read once, for its size and digest.

    `where` names the parameters in errors; `expected` is the number of pairs if not the published number. A
    RestorekitError lists the first few files where names, numbers or sizes differ from the layout.
    """
    form = get_layout(layout)
    names = list_pictures(where, root)
    matched = match_names(form, names)
    if matched.problems:
        listing = "\n".join(f"    {problem}" for problem in matched.problems)
        raise RestorekitError(f"{where}: {root} does not follow layout '{layout}':\n{listing}\n    {form.says}")
    if not matched.pairs:
        raise _nothing_matched(where, root, layout, form, names)
    _check_counts(where, root, layout, form, matched, expected)
    assert matched.arrangement is not None
    sizes = {name: _size(root / name) for pair in matched.pairs for name in _files(pair)}
    _check_sizes(where, root, matched, sizes, form)
    digests = {name: sha256_file(root / name) for name in sizes}
    return tuple(_described(pair, matched.arrangement.halves, sizes, digests) for pair in matched.pairs)


def load_pair(root: Path, pair: RealPair) -> LoadedPair:
    """The images of a pair; a RestorekitError where the bytes are not those that `find_pairs` read.

    Larger clean images are cropped about their centre to the degraded image's size, as for published figures on RESIDE;
    `find_pairs` accepts larger images for such layouts only.
    """
    degraded = _read(root / pair.input, pair.input_sha256)
    if pair.halves:
        half = degraded.shape[1] // 2
        return LoadedPair(np.ascontiguousarray(degraded[:, half:]), np.ascontiguousarray(degraded[:, :half]), None)
    clean, layer = (
        None if name is None or digest is None else _cut(_read(root / name, digest), *degraded.shape[:2])
        for name, digest in ((pair.target, pair.target_sha256), (pair.layer, pair.layer_sha256))
    )
    if pair.mask is None or pair.mask_sha256 is None:
        return LoadedPair(degraded, clean, layer)
    holes = _read(root / pair.mask, pair.mask_sha256).max(axis=2) >= HOLE
    shown = np.where(holes[..., None], np.uint8(FILL), degraded) if pair.target == pair.input else degraded
    return LoadedPair(shown, clean, layer, holes.astype(np.uint8) * np.uint8(255))


def shifts_told(where: str, root: Path, pairs: Sequence[RealPair]) -> str | None:
    """A line that names pairs whose images are shifted by more than a pixel, if any; `where` begins it."""

    def load(number: int) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
        loaded = load_pair(root, pairs[number])
        if loaded.clean is not None:
            yield pairs[number].input, loaded.degraded, loaded.clean

    return shift_note(where, len(pairs), load)


def pairs_digest(pairs: Iterable[RealPair]) -> str:
    """SHA-256 of the pairs' keys, scenes and contents, without the files' names and folder."""
    return digest_of(
        [[p.key, p.scene, p.halves, p.input_sha256, p.target_sha256, p.layer_sha256, p.mask_sha256] for p in pairs]
    )


def _files(pair: MatchedPair) -> list[str]:
    return list(dict.fromkeys(name for name in (pair.input, pair.target, pair.layer, pair.mask) if name is not None))


def _nothing_matched(where: str, root: Path, layout: str, form: Layout, names: list[str]) -> RestorekitError:
    likely = resembling(names, LAYOUTS)
    hint = (
        f" It looks like '{likely[0]}'" + (f" (or {' or '.join(likely[1:])})." if likely[1:] else ".") if likely else ""
    )
    found = f"{len(names)} files, such as {listed(names)}" if names else "no files"
    return RestorekitError(
        f"{where}: no file in {root} has a name of layout '{layout}'; found {found}.{hint}\n    {form.says}"
    )


def _check_counts(where: str, root: Path, layout: str, form: Layout, matched: Matched, expected: int | None) -> None:
    wanted = expected if expected is not None else form.pairs
    here = root / matched.folder
    if wanted is not None and len(matched.pairs) != wanted:
        stated = "stated" if expected is not None else "published"
        raise RestorekitError(
            f"{where}: pairs of layout '{layout}' in {here}: {len(matched.pairs)}, {stated} are {wanted} (first and "
            f"last: {matched.pairs[0].input}, {matched.pairs[-1].input}): complete the folder, or say so with pairs: "
            f"{len(matched.pairs)}"
        )
    if expected is None and form.targets is not None and matched.num_targets != form.targets:
        raise RestorekitError(
            f"{where}: clean images of the pairs in {here}: {matched.num_targets}, published are {form.targets}: "
            f"complete the folder, or say so with pairs: {len(matched.pairs)}"
        )


def _check_sizes(where: str, root: Path, matched: Matched, sizes: dict[str, tuple[int, int]], form: Layout) -> None:
    wrong = []
    for pair in matched.pairs:
        width, height = sizes[pair.input]
        if matched.arrangement and matched.arrangement.halves and width % 2:
            wrong.append(f"{pair.input} is {width} pixels wide, and holds no two halves")
        for name in _files(pair)[1:]:
            larger = sizes[name][0] >= width and sizes[name][1] >= height
            if sizes[name] != (width, height) and not (form.centre and larger):
                wrong.append(f"{pair.input} is {width} x {height}, {name} is {sizes[name][0]} x {sizes[name][1]}")
    if wrong:
        listing = "".join(f"\n    {one}" for one in wrong[:SHOWN])
        raise RestorekitError(f"{where}: images of unequal size in {root}: {len(wrong)}{listing}")


def _size(path: Path) -> tuple[int, int]:
    """(width, height) of the upright picture, from its header."""
    try:
        with Image.open(path) as picture:
            turned = picture.getexif().get(0x0112, 1) in (5, 6, 7, 8)
            return (picture.height, picture.width) if turned else picture.size
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError) as error:
        raise RestorekitError(f"{path} cannot be read as an image: {error}") from error


def _described(pair: MatchedPair, halves: bool, sizes: dict[str, tuple[int, int]], digests: dict[str, str]) -> RealPair:
    width, height = sizes[pair.input]
    others = (None if name is None else digests[name] for name in (pair.target, pair.layer, pair.mask))
    return RealPair(
        pair.key, pair.scene, pair.input, pair.target, pair.layer, pair.mask, halves, width // 2 if halves else width,
        height, digests[pair.input], *others,
    )  # fmt: skip


def _read(path: Path, sha256: str) -> np.ndarray:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RestorekitError(f"{path} can no longer be read: {error.strerror}") from error
    if hashlib.sha256(data).hexdigest() != sha256:
        raise RestorekitError(f"{path} has changed since the stage began: run it again")
    return to_uint8(read_image(path).pixels)


def _cut(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """The middle of an image, cut as torchvision's CenterCrop does."""
    top, left = round((image.shape[0] - height) / 2), round((image.shape[1] - width) / 2)
    return np.ascontiguousarray(image[top : top + height, left : left + width])
