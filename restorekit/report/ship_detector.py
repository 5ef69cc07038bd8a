"""Makes a detector part of the package: weights of 16 bits, the record, and a card that says what it is good for.

python -m restorekit.report.ship_detector data/long/detector --machine "one thread of ..." \
    --bench data/bench/detector.json --shards data/shards/rain-wide data/shards/haze-wide
"""

import argparse
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from restorekit.detection.detector import Detector
from restorekit.detection.folder import load_detector, save_detector
from restorekit.entry import run_entry
from restorekit.errors import RestorekitError
from restorekit.files import read_json, write_atomically
from restorekit.models.checkpoint import WEIGHTS
from restorekit.paths import working_root
from restorekit.report import environment
from restorekit.report.ship import credited
from restorekit.shards.reader import ShardSample, iter_samples
from restorekit.sources.photo_index import PhotoManifest
from restorekit.weights import DETECTOR, FOLDER

LARGEST_SHIFT = 0.01  # between the probabilities of 16 and of 32 bits

# Of the detector's record, what a user of shipped weights can make use of.
KEPT = ("seed", "steps", "datasets", "validation", "git_revision")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("detector", type=Path, help="the folder of a trained detector")
    parser.add_argument("--machine", required=True, help="what it was trained on, and for how long, in words")
    parser.add_argument("--bench", type=Path, required=True, help="of `make bench-detector`, its scores on public sets")
    parser.add_argument(
        "--shards", type=Path, nargs="+", required=True, help="data sets whose test images are compared"
    )
    given = parser.parse_args()
    photos = PhotoManifest.load(working_root().photos)
    bench = read_json(given.bench, "bench", "run `make bench-detector`")
    samples = (sample for folder in given.shards for sample in iter_samples(folder / "test"))
    digest = ship_detector(given.detector, photos, bench, given.machine, samples, FOLDER)
    print(f"detector, digest {digest[:12]}, card in {FOLDER / DETECTOR / 'README.md'}")


def ship_detector(
    source: Path,
    photos: PhotoManifest,
    bench: Mapping[str, Any],
    machine: str,
    samples: Iterable[ShardSample],
    folder: Path,
) -> str:
    """Writes the detector in `source` into `folder`/detector as a whole; its digest there.

    Raises RestorekitError where a training photograph has no free licence, where the bench judged another detector, or
    where 16 bits judge a sample otherwise than 32 bits.
    """
    network, calibration, record = load_detector(source)
    if bench.get("digest") != record["digest"]:
        raise RestorekitError(f"the bench judged another detector than {source}: run `make bench-detector` on this one")
    full = Detector(network, calibration)
    told = {"machine": machine, "photographs": credited(photos), "trained_digest": record["digest"]}
    kept = {key: record[key] for key in KEPT if key in record}
    scores = {key: bench[key] for key in ("positions", "pairs", "real", "clean", "rows")}
    with write_atomically(folder / DETECTOR) as partial:
        partial.mkdir()
        halved = load_detector(source)[0].half()
        written = save_detector(partial, halved, calibration, {**kept, **told, "scores": scores})
        _check_parity(Detector.load(partial), full, samples)
        card = environment().get_template("detector_card.md").render(
            record=written, parameters=sum(value.numel() for value in network.parameters()),
            megabytes=(partial / WEIGHTS).stat().st_size / 1e6,
        )  # fmt: skip
        (partial / "README.md").write_text(card, encoding="utf-8")
    return str(written["digest"])


def _check_parity(halved: Detector, full: Detector, samples: Iterable[ShardSample]) -> None:
    count = 0
    for sample in samples:
        for image in (sample.degraded, sample.clean):
            one, other = halved.detect(image), full.detect(image)
            shift = max(abs(one.probabilities[name] - value) for name, value in other.probabilities.items())
            if shift > LARGEST_SHIFT:
                raise RestorekitError(f"16 bits judge '{sample.key}' otherwise than 32 bits (by {shift:.3f})")
            count += 1
    if not count:
        raise RestorekitError("there are no test images to compare 16 bits with 32 on: name data sets by --shards")


if __name__ == "__main__":
    run_entry(main)
