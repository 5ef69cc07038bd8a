"""`make bench-detector SETS=DIR`: how often the detector's first answer is right, and clean photos are left alone.

SETS holds <task>/<set>/input, with target where the set has pairs, and clean/<set>/photos. An input is right if the
task is found first; of a set that shows two things at once (`EITHER`) one of both has to be. A target and a clean photo
are right if nothing is found. Of a set of six or more pairs only those at odd positions judge.

python -m tests.bench.detector data/bench/detector.json --sets DIR [--detector FOLDER] [--positions odd|even|all]
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from restorekit.detection.detector import Detection, Detector
from restorekit.detection.folder import load_detector
from restorekit.files import write_json
from restorekit.image import read_image
from restorekit.restoring.selection import is_photo
from restorekit.tasks import DETECTED
from restorekit.weights import detector_folder
from tests.bench.quality_sets import FEWEST

EITHER = {"heavyrain": ("rain", "haze")}
STEPS = {"odd": slice(1, None, 2), "even": slice(0, None, 2), "all": slice(None)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", type=Path)
    parser.add_argument("--sets", type=Path, required=True)
    parser.add_argument("--detector", type=Path, help="a detector's folder; default: the shipped one")
    parser.add_argument("--positions", choices=STEPS, default="odd")
    parser.add_argument("--most", type=int, default=100, help="images of a set, spread over it")
    given = parser.parse_args()
    folder = given.detector or detector_folder()
    if folder is None:
        sys.exit("error: no detector is shipped: name one by --detector")
    detector, record = Detector.load(folder), load_detector(folder)[2]
    rows = [
        judged(detector, task, place, given.positions, given.most)
        for task in (*DETECTED, "clean")
        for place in sorted((given.sets / task).glob("*"))
    ]
    if not rows:
        sys.exit(f"error: no <task>/<set> is below {given.sets}")
    for row in rows:
        print(in_words(row))
    told = {"digest": record["digest"], "positions": given.positions, "most": given.most, "rows": rows}
    write_json(given.target, told | summary(rows))
    print(", ".join(f"{name} {value:.3f}" for name, value in summary(rows).items()))


def judged(detector: Detector, task: str, place: Path, positions: str, most: int) -> dict[str, Any]:
    """The figures of one set: of the images with something wrong, and of the clean ones."""
    row: dict[str, Any] = {"task": task, "set": place.name}
    wanted = EITHER.get(place.name, (task,))
    bad, clean = ("input", "target") if task != "clean" else ("-", "photos")
    for name, folder in (("wrong", place / bad), ("clean", place / clean)):
        files = sorted(file for file in folder.glob("*") if is_photo(file.name)) if folder.is_dir() else []
        if len(files) >= FEWEST and (place / "target").is_dir():
            files = files[STEPS[positions]]
        files = files[:: -(-len(files) // most)] if files else files
        found, seconds = looked(detector, files)
        firsts = [one.found[0] if one.found else "nothing" for one in found]
        right = sum(first in (wanted if name == "wrong" else ("nothing",)) for first in firsts)
        row[name] = {"n": len(files), "right": right, "answers": dict(Counter(firsts)), "seconds": seconds}
    return row


def looked(detector: Detector, files: Sequence[Path]) -> tuple[list[Detection], float]:
    """What is found on each photo, and the mean seconds without decoding."""
    found, seconds = [], 0.0
    for file in files:
        pixels = read_image(file).pixels
        began = time.perf_counter()
        found.append(detector.detect(pixels))
        seconds += time.perf_counter() - began
    return found, seconds / max(1, len(files))


def in_words(row: dict[str, Any]) -> str:
    wrong, clean = row["wrong"], row["clean"]
    return (
        f"{row['task']}/{row['set']}: {wrong['right']} of {wrong['n']} right {wrong['answers']}, "
        f"{clean['right']} of {clean['n']} clean ones left alone {clean['answers']}"
    )


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """The shares over all images of pairs, of real photographs, and of clean images."""
    parts = {
        "pairs": [row["wrong"] for row in rows if row["clean"]["n"]],
        "real": [row["wrong"] for row in rows if not row["clean"]["n"]],
        "clean": [row["clean"] for row in rows],
    }
    return {
        name: sum(one["right"] for one in ones) / max(1, sum(one["n"] for one in ones)) for name, ones in parts.items()
    }


if __name__ == "__main__":
    main()
