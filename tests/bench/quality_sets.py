"""The images of `make bench-quality`: pairs below a folder, and photographs with holes."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from restorekit.evaluation.opponents import mean_fill
from restorekit.image import decode_grey, read_image, to_uint8
from restorekit.rng import rng_for
from restorekit.sources.folders import FILL, HOLE
from restorekit.sources.real_pairs import find_pairs, load_pair
from restorekit.tasks import REAL_TASKS, TASKS

FEWEST = 6  # pairs of a set of which half may have chosen a model
CHOSEN_ELSEWHERE = ("rain",)  # tasks whose models are chosen on other sets than those that judge


@dataclass(frozen=True)
class Case:
    """An image to restore, uint8 (H, W, 3), with its clean image, and a bool mask (H, W) for holes."""

    key: str
    scene: str
    degraded: np.ndarray
    clean: np.ndarray
    mask: np.ndarray | None = None

    @property
    def baseline(self) -> np.ndarray:
        """What a method is held against: the degraded image, holes filled by the mean colour."""
        return self.degraded if self.mask is None else mean_fill(self.degraded, self.mask)


def sets_in(sets: Path) -> list[tuple[str, str]]:
    """(task, set) of every folder of pairs, and (inpainting, set/bucket) of every bucket of masks."""
    found = []
    for task in REAL_TASKS:
        for folder in sorted(path for path in (sets / task).glob("*") if path.is_dir()):
            if not TASKS[task].takes_mask and (folder / "input").is_dir() and (folder / "target").is_dir():
                found.append((task, folder.name))
            elif TASKS[task].takes_mask and (folder / "mask").is_dir():
                buckets = sorted({file.stem.split("_")[0] for file in (folder / "mask").glob("*.*")})
                found += [(task, f"{folder.name}/{bucket}") for bucket in buckets]
    return found


def cases_of(sets: Path, task: str, name: str, most: int) -> Iterator[Case]:
    """The images of one set that judge, at most `most`, spread over the set."""
    if TASKS[task].takes_mask:
        yield from _with_holes(sets, task, name, most)
        return
    root = sets / task / name
    pairs = sorted(find_pairs(f"{task}/{name}", root, "plain"), key=lambda pair: pair.key)
    if task not in CHOSEN_ELSEWHERE and len(pairs) >= FEWEST:
        pairs = pairs[1::2]
    for pair in pairs[:: -(-len(pairs) // most)]:
        loaded = load_pair(root, pair)
        if loaded.clean is not None:
            yield Case(pair.key, pair.scene, loaded.degraded, loaded.clean)


def _with_holes(sets: Path, task: str, name: str, most: int) -> Iterator[Case]:
    """Photographs in turn, each with the next mask of the bucket, cut to the photograph's size at a drawn place."""
    of_set, bucket = name.split("/")
    masks = sorted((sets / task / of_set / "mask").glob(f"{bucket}_*"))
    photographs = sorted((sets / "clean").glob("*/photos/test_*"))
    for number in range(most if photographs else 0):
        file = photographs[number % len(photographs)]
        clean = to_uint8(read_image(file).pixels)
        mask = decode_grey(masks[number % len(masks)].read_bytes()) >= HOLE
        rng = rng_for(0, "quality", name, number)
        height, width = (min(have, need) for have, need in zip(clean.shape[:2], mask.shape, strict=True))
        top, left = (int(rng.integers(have - need + 1)) for have, need in zip(mask.shape, (height, width), strict=True))
        clean = np.ascontiguousarray(clean[:height, :width])
        holes = mask[top : top + height, left : left + width]
        degraded = np.where(holes[..., None], np.uint8(FILL), clean)
        yield Case(f"{file.stem}-{number:03d}", file.stem, degraded, clean, holes)
