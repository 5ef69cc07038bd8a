"""Every test image is restored once, quantised to 8 bits and scored before and after by every protocol."""

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from restorekit.errors import RestorekitError
from restorekit.evaluation.baseline import baseline
from restorekit.evaluation.pairs import Facts, Pair, PairSet
from restorekit.files import write_beside
from restorekit.image import to_uint8
from restorekit.metrics import METRICS, gain, score

Restore = Callable[[Pair], np.ndarray]  # float32 (H, W, 3) in [0, 1], of the pair's size


@dataclass(frozen=True)
class ImageScore:
    """One row of the table: the values of each protocol for the degraded and for the restored image."""

    dataset: str
    facts: Facts
    width: int
    height: int
    degraded: dict[str, float]  # of the baseline, which fills holes by a mean colour
    restored: dict[str, float]


@dataclass(frozen=True)
class Restored:
    """A pair, what was made of it (uint8 (H, W, 3)), and its row."""

    pair: Pair
    image: np.ndarray
    score: ImageScore


def score_pairs(pairs: PairSet, restore: Restore, protocols: Iterable[str] = tuple(METRICS)) -> Iterator[Restored]:
    """Restores and scores the pairs one by one, each once, beside what was there before (see baseline.py).

    An empty set or a key that occurs twice is refused.
    """
    protocols, seen = tuple(protocols), set()
    for pair in pairs.open():
        if pair.facts.key in seen:
            raise twice(pair.facts.key, pairs.name)
        seen.add(pair.facts.key)
        image = to_uint8(restore(pair))
        height, width = pair.clean.shape[:2]
        before, after = score(baseline(pair), pair.clean, protocols), score(image, pair.clean, protocols)
        yield Restored(pair, image, ImageScore(pairs.name, pair.facts, width, height, before, after))
    if not seen:
        raise RestorekitError(f"{pairs.name} holds no images: run `dvc repro synthesize`")


def twice(key: str, name: str) -> RestorekitError:
    return RestorekitError(f"'{key}' is twice in {name}: every test image must have a key of its own")


def paired_gains(rows: Sequence[ImageScore], protocol: str, others: Sequence[ImageScore] | None = None) -> np.ndarray:
    """The gain of every row, float64 (n,), over its degraded image or over the row of the same image in `others`."""
    if others is None:
        return np.array([gain(protocol, row.degraded[protocol], row.restored[protocol]) for row in rows])
    before = {(row.dataset, row.facts.key): row.restored[protocol] for row in others}
    if set(before) != {(row.dataset, row.facts.key) for row in rows} or len(before) != len(rows):
        raise RestorekitError("the two tables are not of the same test images: run `dvc repro evaluate`")
    return np.array([gain(protocol, before[row.dataset, row.facts.key], row.restored[protocol]) for row in rows])


COLUMNS = ("dataset", "key", "photograph", "kind", "severity", "hole_share", "width", "height")


def write_table(path: Path, rows: Sequence[ImageScore]) -> None:
    """Writes table.csv: a line for each image, the values of a protocol as `<protocol>.degraded` and `.restored`."""
    protocols = list(rows[0].restored) if rows else []
    with write_beside(path) as beside, beside.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*COLUMNS, *(f"{name}.{side}" for name in protocols for side in ("degraded", "restored"))])
        for row in rows:
            facts = row.facts
            kind = "" if facts.kind is None else facts.kind
            severity, share = ("" if one is None else repr(one) for one in (facts.severity, facts.hole_share))
            values = [repr(value) for name in protocols for value in (row.degraded[name], row.restored[name])]
            about = [row.dataset, facts.key, facts.photograph, kind, severity, share, row.width, row.height]
            writer.writerow([*about, *values])


def read_table(path: Path) -> list[ImageScore]:
    """The rows that `write_table` wrote, to the last bit."""
    remedy = "run `dvc repro evaluate`"
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return [_row(line) for line in csv.DictReader(file)]
    except FileNotFoundError:
        raise RestorekitError(f"no table of scores at {path}: {remedy}") from None
    except (KeyError, TypeError, ValueError) as error:
        raise RestorekitError(f"the table of scores at {path} cannot be read ({error}): {remedy}") from error


def _row(line: dict[str, str]) -> ImageScore:
    values = {name: float(text) for name, text in line.items() if name not in COLUMNS}
    severity, share = (float(line[name]) if line[name] else None for name in ("severity", "hole_share"))
    facts = Facts(line["key"], line["photograph"], line["kind"] or None, severity, share)
    degraded, restored = (
        {name.removesuffix(side): value for name, value in values.items() if name.endswith(side)}
        for side in (".degraded", ".restored")
    )
    return ImageScore(line["dataset"], facts, int(line["width"]), int(line["height"]), degraded, restored)
