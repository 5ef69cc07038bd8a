"""dvc.yaml says what the stages depend on: sections of the parameters, and the sources that matter."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from restorekit.config import load_params

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def stages() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]


def test_every_stage_has_its_page(stages: dict[str, Any]) -> None:
    assert list(stages) == ["photos", "synthesize", "pairs", "train", "evaluate", "promote", "report"]
    for name, stage in stages.items():
        body = stage.get("do", stage)
        assert body["cmd"].startswith(f"python -m pipelines.{name}")
        assert f"pipelines/{name}.py" in body["deps"]
        assert (ROOT / "pipelines" / f"{name}.py").is_file()


def test_no_stage_depends_on_the_whole_parameters_file(stages: dict[str, Any]) -> None:
    sections = set(yaml.safe_load((ROOT / "params.yaml").read_text()))
    for stage in stages.values():
        body = stage.get("do", stage)
        assert "params.yaml" not in body["deps"]
        assert {name.split(".")[0] for name in body["params"]} <= sections


def test_every_dependency_exists(stages: dict[str, Any]) -> None:
    for stage in stages.values():
        for dep in stage.get("do", stage)["deps"]:
            if dep.startswith(("restorekit/", "pipelines/")):
                assert (ROOT / dep.replace("${item.model}", "dmgn")).exists(), dep


def test_runs_outside_the_main_pipeline_are_made_by_the_same_stages(stages: dict[str, Any]) -> None:
    others = yaml.safe_load((ROOT / "pipelines" / "long" / "dvc.yaml").read_text())["stages"]
    same = {
        "synthesize": ("synthesize", "long.datasets", "data"),
        "train": ("train", "long.runs", "data/long"),
        "evaluate": ("evaluate", "long.runs", "data/long"),
    }
    for name, (like, section, area) in same.items():
        stage, main = others[name], stages[like]["do"]
        assert stage["foreach"] == f"${{{section}}}"
        assert stage["do"]["wdir"] == "../.."
        assert stage["do"]["cmd"] == main["cmd"]
        for field in ("deps", "outs"):
            moved = [path.replace("data/models", f"{area}/models") for path in main[field]]
            assert stage["do"][field] == [path.replace("data/evaluations", f"{area}/evaluations") for path in moved]


def test_every_ablation_has_its_stages() -> None:
    stages = yaml.safe_load((ROOT / "pipelines" / "ablations" / "dvc.yaml").read_text())["stages"]
    params = load_params(ROOT / "params.yaml")
    assert stages["table"]["foreach"] == list(params.ablations)
    for model, ablations in params.ablations.items():
        for name in ("train", "evaluate"):
            stage = stages[f"{name}-{model}"]
            assert stage["matrix"]["variant"] == list(ablations.variants)
            assert stage["cmd"].endswith(f"--run {model}-${{item.dataset}}--${{item.variant}}-${{item.seed}}")
    assert params.areas["dakd-rain--a5-1"] == "ablations/dakd"
    assert params.registered_name("dakd-rain--a5-1") == "dakd-rain--a5-1"


def test_metrics_are_listed_for_every_run() -> None:
    listed = yaml.safe_load((ROOT / "dvc.yaml").read_text())["metrics"]
    runs = load_params(ROOT / "params.yaml").runs
    assert sorted(listed) == sorted(f"data/evaluations/{run}/metrics.json" for run in runs)
