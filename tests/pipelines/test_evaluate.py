"""evaluate: scores the registered version; the files are complete, repeatable and correct."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipelines.evaluate import evaluate
from restorekit.config import Params, check_params, read_run
from restorekit.errors import RestorekitError
from restorekit.evaluation.table import read_clean_table, read_mask_table, read_table
from restorekit.image import decode_rgb
from restorekit.metrics.protocols import METRICS
from restorekit.models import create_model
from restorekit.models.checkpoint import save_model
from restorekit.paths import Paths
from restorekit.tracking.store import open_client, tracking_uri
from restorekit.tracking.versions import list_registered, versions_of
from tests.pipelines.conftest import scenes

WriteModel = Callable[..., None]
RUN = "dmgn-rain"


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_model_that_undoes_the_degradation_has_the_known_gain(
    params: Params, paths: Paths, write_model: WriteModel, capsys: pytest.CaptureFixture[str]
) -> None:
    write_model(24.0)
    evaluate(RUN, params, paths)
    folder = paths.evaluation(RUN)
    assert set(contents(folder)) == {
        "evaluation.json", "metrics.json", "slices.csv", "table.csv",
        *(f"samples/synthetic-test-{name}.png" for name in ("01", "02", "03", "clean")),
    }  # fmt: skip
    rows = read_table(folder / "table.csv")
    assert len(rows) == 6
    assert all(set(row.restored) == set(METRICS) for row in rows)
    assert all(row.restored["psnr_rgb"] > 40 and row.degraded["psnr_rgb"] < 21 for row in rows)
    metrics = json.loads((folder / "metrics.json").read_text())["synthetic-test"]
    assert (metrics["n"], metrics["photographs"]) == (6, 2)
    assert 20 < metrics["psnr_rgb"]["ci95_low"] <= metrics["psnr_rgb"]["gain"] <= metrics["psnr_rgb"]["ci95_high"]
    assert "gain +" in capsys.readouterr().out

    with (folder / "slices.csv").open(newline="") as file:
        slices = {line["slice"]: line for line in csv.DictReader(file)}
    assert len(slices) == 6
    assert float(slices["synthetic-test all"]["psnr_rgb_gain"]) == metrics["psnr_rgb"]["gain"]
    assert not any("." in name for name in slices["synthetic-test all"])

    evaluation = json.loads((folder / "evaluation.json").read_text())
    assert {score["slice"] for score in evaluation["scores"]} == {
        "all", "kind:light", "kind:heavy", "severity:low", "severity:mid", "severity:high",
    }  # fmt: skip
    for sample in evaluation["samples"]:
        image, panels = decode_rgb((folder / sample["file"]).read_bytes()), sample["panels"]
        assert panels == (2 if sample["kind"] == "clean" else 3)
        assert image.shape == (sample["height"], panels * sample["width"] + (panels - 1) * sample["gutter"], 3)
    assert {sample["photograph"] for sample in evaluation["samples"]} == {"astronaut", "chelsea"}

    version = versions_of("dmgn-rain", paths.root)[0]
    assert ", gain +" in version.tags["synthetic-test.psnr_rgb"]
    client = open_client(tracking_uri(paths.root))
    logged = client.get_run(version.run_id).data.metrics
    assert logged["synthetic-test/psnr_rgb/gain"] == pytest.approx(metrics["psnr_rgb"]["gain"])
    assert "synthetic-test/psnr_rgb/kind_heavy/gain" in logged
    assert len(client.list_artifacts(version.run_id, "evaluation")) == 4


def test_clean_photographs_have_their_figures_wherever_scores_are(
    params: Params, paths: Paths, write_model: WriteModel, capsys: pytest.CaptureFixture[str]
) -> None:
    write_model(12.0)
    evaluate(RUN, params, paths)
    folder = paths.evaluation(RUN)
    figures = {"clean_psnr": 26.55, "clean_detail": 1.0, "clean_shift": 12.0}
    metrics = json.loads((folder / "metrics.json").read_text())["synthetic-test"]
    assert {name: metrics[name]["mean"] for name in figures} == pytest.approx(figures, abs=0.1)
    assert all(metrics[name]["ci95_low"] <= metrics[name]["mean"] <= metrics[name]["ci95_high"] for name in figures)
    rows = read_clean_table(folder / "table.csv")
    assert [(row.key, row.photograph) for row in rows] == [
        ("astronaut-00000", "astronaut"), ("chelsea-00000", "chelsea"),
    ]  # fmt: skip
    entries = json.loads((folder / "evaluation.json").read_text())["clean"]
    assert [(one["dataset"], one["name"], one["n"]) for one in entries] == [("synthetic-test", n, 2) for n in figures]
    worst = min(rows, key=lambda row: row.figures["clean_psnr"] or 0.0)
    assert (entries[0]["worst"], entries[0]["worst_of"]) == (worst.figures["clean_psnr"], worst.photograph)
    assert "synthetic-test, 2 clean photographs: clean_psnr 26." in capsys.readouterr().out

    picture = decode_rgb((folder / "samples/synthetic-test-clean.png").read_bytes()).astype(int)
    height, width = dict(scenes())[worst.photograph].shape[:2]
    before, after = picture[:, :width], picture[:, -width:]
    np.testing.assert_array_equal(before, dict(scenes())[worst.photograph])
    assert (after - before).mean() == pytest.approx(worst.figures["clean_shift"])
    assert height == picture.shape[0]

    version = versions_of("dmgn-rain", paths.root)[0]
    assert version.tags["synthetic-test.clean_psnr"].startswith("26.")
    assert ", worst " in version.tags["synthetic-test.clean_shift"]
    logged = open_client(tracking_uri(paths.root)).get_run(version.run_id).data.metrics
    assert logged["synthetic-test/clean_psnr/mean"] == pytest.approx(entries[0]["mean"])
    assert logged["synthetic-test/clean_psnr/worst"] == pytest.approx(entries[0]["worst"])


def test_without_pictures_there_is_none_of_a_clean_photograph(
    params: Params, paths: Paths, write_model: WriteModel
) -> None:
    values = params.model_dump(mode="json")
    values["evaluate"]["samples"] = 0
    write_model(24.0)
    evaluate(RUN, check_params(values), paths)
    assert not [name for name in contents(paths.evaluation(RUN)) if name.startswith("samples/")]


def test_a_second_evaluation_gives_the_same_bytes_and_no_second_version(params: Params, evaluated: Paths) -> None:
    paths = evaluated
    first = contents(paths.evaluation(RUN))
    evaluate(RUN, params, paths)
    assert contents(paths.evaluation(RUN)) == first
    assert len(list_registered(paths.root)) == 1


def test_bf16_scores_nearly_the_same(params: Params, evaluated: Paths) -> None:
    paths = evaluated
    gain = json.loads((paths.evaluation(RUN) / "metrics.json").read_text())["synthetic-test"]["psnr_rgb"]["gain"]
    values = params.model_dump(mode="json")
    values["evaluate"]["precision"] = "bf16"
    evaluate(RUN, check_params(values), paths)
    half = json.loads((paths.evaluation(RUN) / "metrics.json").read_text())["synthetic-test"]["psnr_rgb"]["gain"]
    assert half == pytest.approx(gain, rel=0.2)


def test_the_mean_of_views_is_scored_too(params: Params, evaluated: Paths, capsys: pytest.CaptureFixture[str]) -> None:
    paths = evaluated
    once = json.loads((paths.evaluation(RUN) / "metrics.json").read_text())["synthetic-test"]
    assert "self_ensemble" not in once
    values = params.model_dump(mode="json")
    values["evaluate"]["self_ensemble"] = True
    evaluate(RUN, check_params(values), paths)
    found = json.loads((paths.evaluation(RUN) / "metrics.json").read_text())["synthetic-test"]
    views = found.pop("self_ensemble")
    assert found == once
    # This network adds a constant to every pixel, so that turning the image has no effect.
    assert views["psnr_rgb"]["gain"] == pytest.approx(once["psnr_rgb"]["gain"], abs=0.2)
    over = views["psnr_rgb"]["over_one_pass"]
    assert views["psnr_rgb"]["gain"] - once["psnr_rgb"]["gain"] == pytest.approx(over["mean"])
    assert over["ci95_low"] <= over["mean"] <= over["ci95_high"]
    assert "mean of 2 views: ssim_rgb" in capsys.readouterr().out


def test_a_training_without_flips_gives_no_mean_of_views(
    params: Params, paths: Paths, write_model: WriteModel, capsys: pytest.CaptureFixture[str]
) -> None:
    write_model(24.0, flips=["channels"])
    values = params.model_dump(mode="json")
    values["evaluate"]["self_ensemble"] = True
    evaluate(RUN, check_params(values), paths)
    assert "self_ensemble" not in json.loads((paths.evaluation(RUN) / "metrics.json").read_text())["synthetic-test"]
    assert "trained without flips: there is no mean of views" in capsys.readouterr().out


def test_bad_input_leaves_nothing_behind(params: Params, paths: Paths, write_model: WriteModel) -> None:
    with pytest.raises(RestorekitError, match="no model at"):
        evaluate(RUN, params, paths)
    with pytest.raises(RestorekitError, match="did you mean 'dmgn-rain'"):
        evaluate("dmgn-rian", params, paths)
    write_model(24.0)
    shard = paths.shards("rain") / "test" / "000000.tar"
    shard.write_bytes(shard.read_bytes()[:-1] + b"\x01")
    with pytest.raises(RestorekitError, match="dvc repro synthesize"):
        evaluate(RUN, params, paths)
    assert not paths.evaluation(RUN).exists()
    assert list((paths.root / "data" / "evaluations").glob(".*")) == []


def test_predicted_masks_are_scored_and_drawn(params: Params, paths: Paths) -> None:
    model = create_model("dakd", width=2, tau=0.09)  # 22.95 levels: every pixel of these pairs is degraded
    record = {
        "run": "dakd-rain", "task": "rain", "dataset": "rain", "seed": 3, "steps": 10, "git_revision": "abc",
        "shards_digest": "def", "sources_digest": "012", "mlflow_run_id": None,
    }  # fmt: skip
    save_model(paths.model("dakd-rain"), model, record)
    run = {"model": "dakd", "dataset": "rain", "options": {"width": 2}, "objective": {"localise_steps": 5}}
    evaluate("dakd-rain", params.model_copy(update={"runs": {"dakd-rain": read_run(run)}}), paths)
    folder = paths.evaluation("dakd-rain")
    assert "samples/maps-synthetic-test-01.png" in contents(folder)
    rows = read_mask_table(folder / "table.csv")
    assert [row.key for row in rows] == [row.facts.key for row in read_table(folder / "table.csv")]
    assert all(row.share == 1.0 and row.outside_restored is None for row in rows)
    metrics = json.loads((folder / "metrics.json").read_text())["synthetic-test"]
    assert metrics["mask"]["f1_all_white"]["mean"] == 1.0
    gains = [row.inside_restored - row.inside_degraded for row in rows]
    assert metrics["mask"]["gain_inside"]["mean"] == pytest.approx(sum(gains) / 6)
    evaluation = json.loads((folder / "evaluation.json").read_text())
    for strip in evaluation["maps"]:
        assert strip["panels"][:3] == ["degraded", "true mask", "predicted mask"]
        assert decode_rgb((folder / strip["file"]).read_bytes()).shape[2] == 3
