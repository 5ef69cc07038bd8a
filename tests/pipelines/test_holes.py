"""evaluate: compares trained and imported models with the mean fill and other methods, by hole size."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from skimage.data import astronaut, chelsea

from pipelines.evaluate import evaluate
from pipelines.promote import promote
from restorekit.config import check_params
from restorekit.evaluation.opponents import OPPONENTS
from restorekit.image import encode_grey, encode_rgb
from restorekit.models import create_model
from restorekit.models.checkpoint import save_model
from restorekit.paths import Paths
from restorekit.shards.manifest import ShardManifest, write_shard

VALUES: dict[str, Any] = {
    "seed": 3,
    "photos": {},
    "synthesize": {},
    "datasets": {
        "inpainting": {
            "task": "inpainting", "short_side": 128, "severity": [0.0, 1.0], "val": {"variants": 1},
            "test": {"variants": 1}, "train": {"variants": 1, "tiles": 1, "tile": 128, "shards": 1},
        }
    },
    "train": {"steps": 10, "batch_size": 1, "crop": 128, "lr": 0.001},
    "runs": {
        "madf-inpainting": {
            "model": "madf", "dataset": "inpainting", "objective": {"perceptual": 0.0, "style": 0.0}
        }
    },
    "evaluate": {"samples": 2, "resamples": 200},
    "promote": {},
}  # fmt: skip


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_holes_are_compared_with_opponents_for_trained_and_imported_models(paths: Paths) -> None:
    params = check_params(VALUES)
    write_holes(paths.shards("inpainting") / "test")
    record = {"task": "inpainting", "dataset": "inpainting", "seed": 1, "steps": 0}
    for run, folder in (
        ("madf-inpainting", paths.model("madf-inpainting")),
        ("madf-inpainting--imported", paths.root / "theirs"),
    ):
        torch.manual_seed(len(run))
        model = create_model("madf", width=4, init="he", start="smooth")
        save_model(folder, model, {**record, "run": run, "registered_name": "madf-inpainting"})
    evaluate("madf-inpainting", params, paths)
    folder = paths.evaluation("madf-inpainting")
    evaluation = json.loads((folder / "evaluation.json").read_text())
    whole = {
        (one["opponent"], one["protocol"]): one for one in evaluation["opponents"]["scores"] if one["slice"] == "all"
    }
    assert {opponent for opponent, _ in whole} == set(OPPONENTS)
    assert abs(whole["smooth", "psnr_rgb"]["lead"]) < 0.01  # the untrained network starts from the smooth fill
    scores = {(one["slice"], one["protocol"]): one for one in evaluation["scores"]}
    assert scores["all", "psnr_rgb"]["degraded"] == pytest.approx(whole["mean", "psnr_rgb"]["theirs"])
    assert {name for name, _ in scores if name.startswith("holes:")} == {"holes:0.01-0.1", "holes:0.1-0.2"}
    assert set(evaluation["opponents"]["says"]) == set(OPPONENTS)
    assert [one["file"] for one in evaluation["mask_features"]][:1] == ["samples/mask-features-1.png"]
    assert all((folder / one["file"]).is_file() for one in evaluation["mask_features"])
    before = contents(folder)

    promote(params, paths)
    decision = json.loads((paths.promotions / "decisions.json").read_text())["current"][0]
    assert decision["opponent"] == "the mean fill of the holes"
    assert (evaluation["clean"], decision["clean_psnr"], decision["clean_floor"]) == ([], None, None)
    assert params.promote.clean_psnr is not None
    assert not any("clean" in reason for reason in decision["reasons"])
    assert decision["gain"] == pytest.approx(scores["all", "psnr_rgb"]["gain"])

    evaluate("madf-inpainting", params, paths, paths.root / "theirs")
    assert contents(folder) == before
    theirs = paths.root / "data" / "imported" / "evaluations" / "madf-inpainting--imported"
    assert json.loads((theirs / "evaluation.json").read_text())["version"] == 2


def write_holes(folder: Path) -> None:
    def samples() -> Iterator[tuple[str, dict[str, bytes]]]:
        for number, (name, clean) in enumerate(
            [("astronaut", astronaut()[40:77, 200:245]), ("chelsea", chelsea()[80:125, 140:190])]
        ):
            mask = np.zeros(clean.shape[:2], np.uint8)
            mask[5:15, 5 : 15 + 20 * number] = 255
            record = {"photograph": name, "scene": name, "task": "inpainting", "severity": 0.5}
            members = {
                "degraded.png": encode_rgb(np.where(mask[..., None] > 0, np.uint8(128), clean), "png"),
                "clean.png": encode_rgb(clean, "png"),
                "mask.png": encode_grey(mask),
                "json": json.dumps(record).encode(),
            }
            yield f"{name}-{number}", members

    folder.mkdir(parents=True)
    shard = write_shard(folder / "000000.tar", samples())
    ShardManifest("inpainting", "inpainting", "test", "photos", (shard,)).save(folder)
