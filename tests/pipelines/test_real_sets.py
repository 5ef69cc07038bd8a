"""Real sets are scored and shown under their own names; promotion uses them only without a synthetic test."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.evaluate import evaluate
from pipelines.promote import promote
from pipelines.report import report
from restorekit.config import Params, check_params
from restorekit.evaluation.table import read_clean_table, read_table
from restorekit.image import decode_rgb, encode_rgb
from restorekit.paths import Paths

WriteModel = Callable[..., None]
RUN = "dmgn-rain"


def write_images(folder: Path, count: int, darker: int = 0) -> None:
    folder.mkdir(parents=True)
    for number in range(count):
        row = np.linspace(60, 180, 40 + number).astype(np.uint8)
        image = np.repeat(np.tile(row, (33, 1))[..., None], 3, axis=2) - np.uint8(darker)
        (folder / f"{number}.png").write_bytes(encode_rgb(image, "png"))


@pytest.fixture
def values(params: Params, tmp_path: Path) -> dict[str, Any]:
    """Parameters with a set of pairs, darker by 30 levels, and a set of unpaired pictures."""
    write_images(tmp_path / "sets/pairs/input", 4, darker=30)
    write_images(tmp_path / "sets/pairs/target", 4)
    write_images(tmp_path / "sets/alone/input", 2)
    made = params.model_dump(mode="json")
    made["real"]["evaluate"] = {
        "mine": {"task": "rain", "layout": "plain", "root": str(tmp_path / "sets/pairs")},
        "alone": {"task": "rain", "layout": "unpaired", "root": str(tmp_path / "sets/alone")},
        "elsewhere": {"task": "haze", "layout": "plain", "root": "nowhere"},  # another task: never opened
    }
    return made


def test_real_sets_are_scored_next_to_the_synthetic_test(
    values: dict[str, Any], paths: Paths, write_model: WriteModel
) -> None:
    params = check_params(values)
    write_model(24.0)
    evaluate(RUN, params, paths)
    folder = paths.evaluation(RUN)
    rows = read_table(folder / "table.csv")
    assert [row.dataset for row in rows] == ["synthetic-test"] * 6 + ["mine"] * 4
    assert all(row.restored["psnr_rgb"] == pytest.approx(32.6, abs=0.2) for row in rows[6:])  # 6 levels remain
    evaluation = json.loads((folder / "evaluation.json").read_text())
    assert [test["dataset"] for test in evaluation["tests"]] == ["synthetic-test", "mine"]
    assert [test["dataset"] for test in evaluation["unpaired"]] == ["alone"]
    samples = {sample["file"]: sample for sample in evaluation["samples"]}
    assert {file for file in samples if "alone" in file} == {"samples/alone-01.png", "samples/alone-02.png"}
    synthetic = [("synthetic-test", f"{name}-00000") for name in ("astronaut", "chelsea")]
    cleans = [(one.dataset, one.key) for one in read_clean_table(folder / "table.csv")]
    assert cleans == synthetic + [("mine", str(number)) for number in range(4)]
    alone = samples["samples/alone-01.png"]
    assert (alone["panels"], alone["restored"]) == (2, {})
    assert decode_rgb((folder / alone["file"]).read_bytes()).shape == (33, 2 * alone["width"] + alone["gutter"], 3)

    promote(params, paths)
    (decision,) = json.loads((paths.promotions / "decisions.json").read_text())["current"]
    assert (decision["dataset"], decision["decision"]) == ("synthetic-test", "promoted")
    clean = {(one["dataset"], one["name"]): one["mean"] for one in evaluation["clean"]}
    assert decision["clean_psnr"] == clean["synthetic-test", "clean_psnr"]
    assert {dataset for dataset, _ in clean} == {"synthetic-test", "mine"}
    report(params, paths)
    board = json.loads((paths.report / "leaderboard.json").read_text())["rows"]
    assert {row["dataset"] for row in board} == {"synthetic-test", "mine"}
    page = (paths.report / "index.html").read_text()
    assert "side by side" in page
    assert "mine: pairs from your folders, not made here" in page


def test_real_pairs_decide_for_a_run_without_synthetic_ones(
    values: dict[str, Any], paths: Paths, write_model: WriteModel
) -> None:
    run = "dmgn-rain-own"
    values["real"]["train"] = {
        "rain-own": {
            "task": "rain", "layout": "plain", "root": "own", "train": {"tiles": 1, "tile": 32, "shards": 1},
        }
    }  # fmt: skip
    values["runs"] = {run: values["runs"][RUN] | {"dataset": "rain-own"}}
    params = check_params(values)
    write_model(24.0, run=run)
    evaluate(run, params, paths)
    assert {row.dataset for row in read_table(paths.evaluation(run) / "table.csv")} == {"mine"}
    promote(params, paths)
    (decision,) = json.loads((paths.promotions / "decisions.json").read_text())["current"]
    assert (decision["dataset"], decision["decision"], decision["photographs"]) == ("mine", "promoted", 4)
    assert decision["clean_psnr"] == pytest.approx(20.5, abs=0.1)


def test_a_second_evaluation_gives_the_same_bytes(
    values: dict[str, Any], paths: Paths, write_model: WriteModel
) -> None:
    params = check_params(values)
    write_model(24.0)
    made = []
    for _ in range(2):
        evaluate(RUN, params, paths)
        made.append({path.name: path.read_bytes() for path in paths.evaluation(RUN).rglob("*") if path.is_file()})
    assert made[0] == made[1]
