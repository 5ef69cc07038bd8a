"""Makes a model part of the package: weights of 16 bits, the record, and a card that says what it is good for.

python -m restorekit.report.ship data/long/models/glsgn-rain-wide--long --name rain --machine "one thread of ..." \
    --quality data/bench/quality.json --shards data/shards/rain-wide
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from restorekit.entry import run_entry
from restorekit.errors import RestorekitError
from restorekit.files import read_json, write_atomically
from restorekit.image import encode_rgb, to_float, to_uint8
from restorekit.inference import Restorer
from restorekit.metrics.clean_metrics import measure_clean
from restorekit.metrics.psnr import psnr_rgb
from restorekit.models.checkpoint import WEIGHTS, load_model, save_model
from restorekit.paths import working_root
from restorekit.report import environment
from restorekit.restoring.photo_file import fitted
from restorekit.shards.reader import ShardSample, iter_samples
from restorekit.sources.licences import Licence
from restorekit.sources.photo_index import PhotoManifest
from restorekit.weights import FOLDER

LARGEST, ALL = 10 * 2**20, 30 * 2**20  # bytes of one file of weights, and of all
LEAST_PARITY = 50.0  # dB between the restored images of 16 and of 32 bits: far below what an eye sees
SHOWN = 5  # pictures where it works, and as many where it fails
WIDTH = 900  # pixels of a picture: degraded, restored and clean side by side

# Of the model's record, what a user of shipped weights can make use of.
KEPT = ("run", "task", "dataset", "seed", "steps", "flips", "precision", "chosen_by", "git_revision", "start_from")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="the folder of a trained model")
    parser.add_argument("--name", required=True, help="the model is then shipped:<name>")
    parser.add_argument("--machine", required=True, help="what it was trained on, and for how long, in words")
    parser.add_argument("--shards", type=Path, required=True, help="of its data set: test images for the pictures")
    parser.add_argument("--quality", type=Path, help="of `make bench-quality`; scores on public sets")
    parser.add_argument("--method", help="what the model is called in --quality; default: the folder")
    given = parser.parse_args()
    photos = PhotoManifest.load(working_root().photos)
    tables = [] if given.quality is None else read_json(given.quality, "quality", "run `make bench-quality`")["tables"]
    of_model = [table for table in tables if table["method"] == (given.method or str(given.model))]
    if given.quality is not None and not of_model:
        raise RestorekitError(f"{given.quality} has no figures of {given.method or given.model}: name it by --method")
    digest = ship(given.model, given.name, photos, of_model, given.machine, given.shards / "test", FOLDER)
    print(f"shipped:{given.name}, digest {digest[:12]}, card in {FOLDER / given.name / 'README.md'}")


def ship(
    source: Path,
    name: str,
    photos: PhotoManifest,
    tables: Sequence[Mapping[str, Any]],
    machine: str,
    test: Path,
    folder: Path,
) -> str:
    """Writes the model in `source` into `folder`/`name` as a whole; its digest there.

    Raises RestorekitError where a training photograph has no free licence, where the weights are too large, or where 16
    bits restore a test image otherwise than 32 bits.
    """
    model, record = load_model(source)
    photographs = credited(photos)
    samples = list(iter_samples(test))
    if not samples:
        raise RestorekitError(f"{test} has no test images")
    with write_atomically(folder / name) as partial:
        partial.mkdir()
        kept = {key: record[key] for key in KEPT if key in record}
        told = {"machine": machine, "photographs": photographs, "scores": scores_of(tables)}
        written = save_model(partial, model.half(), {**kept, **told, "trained_digest": record["digest"]})
        _check_size(partial / WEIGHTS, name, folder)
        halved, full = Restorer(load_model(partial)[0]), Restorer(load_model(source)[0])
        _check_parity(halved, full, samples[:3])
        pictures = _pictures(halved, samples, partial / "pictures", photos)
        card = environment().get_template("card.md").render(
            name=name, record=written, parameters=sum(value.numel() for value in model.parameters()),
            megabytes=(partial / WEIGHTS).stat().st_size / 1e6, tables=tables, pictures=pictures,
            harm=_harm(halved, samples),
        )  # fmt: skip
        (partial / "README.md").write_text(card, encoding="utf-8")
    return str(written["digest"])


def credited(photos: PhotoManifest) -> list[dict[str, str]]:
    """Source and licence of every training photograph; RestorekitError where one is not free."""
    used = photos.split("train")
    unfree = [one.source for one in used if not Licence(license=one.license).is_free]
    if unfree:
        raise RestorekitError(
            f"weights are given away only if all their photographs are free (CC0, CC-BY, public domain), and "
            f"{len(unfree)} of {len(used)} are not, {unfree[0]} among them: train on `make photos-free`"
        )
    return [{"source": one.source, "license": one.license} for one in used]


def scores_of(tables: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Of each public set: the images, and the mean gain in psnr_rgb with its interval."""
    return {
        table["set"]: {"n": table["n"], **{key: table["scores"]["psnr_rgb"][key] for key in ("before", "gain", "ci95")}}
        for table in tables
    }


def _check_size(weights: Path, name: str, folder: Path) -> None:
    size = weights.stat().st_size
    whole = [file for file in folder.glob(f"*/{WEIGHTS}") if not file.parent.name.startswith(".")]
    others = sum(file.stat().st_size for file in whole if file != weights and file.parent.name != name)
    if size > LARGEST or size + others > ALL:
        raise RestorekitError(
            f"the weights have {size / 2**20:.1f} MiB, with the other shipped ones {(size + others) / 2**20:.1f} MiB: "
            f"{LARGEST // 2**20} and {ALL // 2**20} MiB are the limits"
        )


def _check_parity(halved: Restorer, full: Restorer, samples: Sequence[ShardSample]) -> None:
    for sample in samples:
        psnr = psnr_rgb(_restored(halved, sample.degraded, sample.mask), _restored(full, sample.degraded, sample.mask))
        if psnr < LEAST_PARITY:
            raise RestorekitError(f"16 bits restore '{sample.key}' otherwise than 32 bits ({psnr:.1f} dB between them)")


def _restored(restorer: Restorer, image: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    holes = mask.astype(np.float32) / 255 if restorer.descriptor.takes_mask and mask is not None else None
    with torch.inference_mode():
        return to_uint8(restorer.restore(to_float(image), holes))


def _harm(restorer: Restorer, samples: Sequence[ShardSample]) -> dict[str, float]:
    """The means of the figures of clean test images; empty for a network that fills holes."""
    if restorer.descriptor.takes_mask:
        return {}
    clean = {json.loads(sample.record_json)["photograph"]: sample.clean for sample in samples}
    rows = [measure_clean(_restored(restorer, image, None), image) for image in clean.values()]
    return {name: float(np.mean([row[name] for row in rows if row[name] is not None])) for name in rows[0]}


def _pictures(
    restorer: Restorer, samples: Sequence[ShardSample], folder: Path, photos: PhotoManifest
) -> dict[str, list[dict[str, Any]]]:
    """Writes the test images that gain most and least; their files, gains and credits, by "works" and "fails"."""
    folder.mkdir()
    credits = {one.name: f"{one.source}, {one.license}" for one in photos.photographs}
    gains = []
    for sample in samples:
        restored = _restored(restorer, sample.degraded, sample.mask)
        gains.append((psnr_rgb(restored, sample.clean) - psnr_rgb(sample.degraded, sample.clean), sample, restored))
    ranked = sorted(gains, key=lambda one: -one[0])
    count = min(SHOWN, len(ranked) // 2)
    found: dict[str, list[dict[str, Any]]] = {}
    for end, chosen in (("works", ranked[:count]), ("fails", ranked[len(ranked) - count :])):
        found[end] = []
        for number, (gain, sample, restored) in enumerate(chosen, 1):
            file = folder / f"{end}-{number}.jpg"
            joined = np.concatenate([sample.degraded, restored, sample.clean], axis=1)
            file.write_bytes(encode_rgb(fitted(joined, WIDTH), "jpeg", 85))
            credit = credits.get(json.loads(sample.record_json)["photograph"], "")
            found[end].append({"file": f"pictures/{file.name}", "gain": gain, "credit": credit})
    return found


if __name__ == "__main__":
    run_entry(main)
