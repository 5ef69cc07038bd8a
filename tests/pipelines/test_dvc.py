"""The dvc.yaml files list the stages' dependencies, and nothing of a run or data set that a user deletes."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from dvc.repo import Repo
from networkx import descendants

from pipelines.mixed.stages import written
from restorekit.config import check_params, load_params
from restorekit.tasks import MODELS
from tests.shipped import FILES, ROOT

AREAS = {".": "", "pipelines/more": "more/", "pipelines/long": "long/"}


def stages_of(folder: str) -> dict[str, Any]:
    """The stages of a dvc.yaml by name; for stages over runs or data sets, the body of the loop."""
    stages = yaml.safe_load((ROOT / folder / "dvc.yaml").read_text())["stages"]
    return {name: stage.get("do", stage) for name, stage in stages.items()}


def outputs(body: dict[str, Any]) -> list[str]:
    """The files and folders that a stage writes: metrics, plots and plain outputs."""
    named = [one for kind in ("outs", "metrics", "plots") for one in body.get(kind, [])]
    return sorted(one if isinstance(one, str) else next(iter(one)) for one in named)


@pytest.fixture(scope="module")
def stages() -> dict[str, Any]:
    return stages_of(".")


def test_every_stage_has_its_own_module(stages: dict[str, Any]) -> None:
    assert list(stages) == ["photos", "synthesize", "pairs", "validation", "train", "evaluate", "promote", "report"]
    for name, body in stages.items():
        assert body["cmd"].startswith(f"python -m pipelines.{name}")
        assert f"pipelines/{name}.py" in body["deps"]
        assert (ROOT / "pipelines" / f"{name}.py").is_file()


@pytest.mark.parametrize("folder", [*AREAS, "pipelines/ablations"])
def test_no_stage_depends_on_a_whole_parameters_file(folder: str) -> None:
    for body in stages_of(folder).values():
        assert not any(dep.endswith("params.yaml") for dep in body["deps"])
        for name in body["params"]:
            named = {"params.yaml": [name]} if isinstance(name, str) else name
            for file, keys in named.items():
                sections = set(yaml.safe_load((ROOT / file).read_text()))
                assert {key.split(".")[0] for key in keys} <= sections


@pytest.mark.parametrize("folder", [*AREAS, "pipelines/ablations"])
def test_every_dependency_exists(folder: str) -> None:
    for body in stages_of(folder).values():
        for dep in body["deps"]:
            assert dep.startswith("data/") or (ROOT / dep).exists(), dep


@pytest.mark.parametrize("folder", ["pipelines/more", "pipelines/long"])
def test_runs_outside_the_main_pipeline_have_the_same_stages(stages: dict[str, Any], folder: str) -> None:
    others = stages_of(folder)

    def moved(value: Any) -> Any:
        text = yaml.safe_dump(value)
        for kind in ("models", "evaluations"):
            text = text.replace(f"data/{kind}/", f"data/{AREAS[folder]}{kind}/")
        return yaml.safe_load(text)

    for name in ("synthesize", "train", "evaluate"):
        assert others[name]["wdir"] == "../.."
        head, tail = stages[name]["cmd"].split(" --", 1)
        assert others[name]["cmd"] == f"{head} --params {folder}/params.yaml --{tail}"
        assert others[name]["deps"] == moved(stages[name]["deps"])
        assert outputs(others[name]) == moved(outputs(stages[name])), name


def test_ablations_cover_every_run_and_depend_on_the_same_files_as_trainings(stages: dict[str, Any]) -> None:
    made = yaml.safe_load((ROOT / "pipelines/ablations/dvc.yaml").read_text())
    assert made["vars"] == ["../../params.yaml", "../more/params.yaml"]
    assert {stage["foreach"] for name, stage in made["stages"].items() if name != "table"} == {"${runs}"}
    assert made["stages"]["table"]["foreach"] == "${ablations}"
    assert made["stages"]["train"]["do"]["deps"] == stages["train"]["deps"]
    params = load_params(ROOT / "params.yaml", ROOT / "pipelines/ablations/params.yaml")
    assert set(params.ablations) == set(MODELS)


def test_every_run_has_metrics_plots_and_an_artifact(stages: dict[str, Any]) -> None:
    assert stages["evaluate"]["metrics"] == ["data/evaluations/${key}/metrics.json"]
    assert [next(iter(plot)) for plot in stages["train"]["plots"]] == [
        "data/models/${key}/loss.csv", "data/models/${key}/validation.csv",
    ]  # fmt: skip
    artifacts = yaml.safe_load((ROOT / "dvc.yaml").read_text())["artifacts"]
    assert {name: artifact["path"] for name, artifact in artifacts.items()} == {
        run: f"data/models/{run}/weights.safetensors" for run in load_params(ROOT / "params.yaml").runs
    }


def test_the_stages_of_runs_on_several_sets_are_those_written_from_their_parameters() -> None:
    params = load_params(ROOT / "params.yaml", ROOT / "pipelines/mixed/params.yaml")
    own = yaml.safe_load((ROOT / "pipelines/mixed/params.yaml").read_text())["runs"]
    assert (ROOT / "pipelines/mixed/dvc.yaml").read_text() == written((name, params.run(name)) for name in own)


def test_a_run_on_several_sets_depends_on_each_and_differs_from_a_long_one_in_nothing_else() -> None:
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    values["runs"] = {"dakd-rain": values["runs"]["dakd-haze"] | {"dataset": {"rain": 0.7, "haze": 0.3}}}
    found = yaml.safe_load(written([("dakd-rain--x", check_params(values).run("dakd-rain"))]))["stages"]
    assert list(found) == ["train-dakd-rain--x", "evaluate-dakd-rain--x", "promote-dakd-rain--x"]
    long = stages_of("pipelines/long")
    for name, body in found.items():
        text = yaml.safe_dump(long[name.partition("-")[0]]).replace("${key}", "dakd-rain--x")
        text = text.replace("${item.model}", "dakd").replace("data/long", "data/mixed")
        expected = yaml.safe_load(text.replace("pipelines/long", "pipelines/mixed"))
        at = expected["deps"].index("data/shards/${item.dataset}")
        expected["deps"][at : at + 1] = ["data/shards/rain", "data/shards/haze"]
        assert body == expected


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the shipped parameters and stages, under DVC."""
    folder = tmp_path_factory.mktemp("repo")
    for file in [
        *FILES,
        "dvc.yaml",
        *(f"pipelines/{name}/dvc.yaml" for name in ("more", "long", "ablations", "mixed")),
    ]:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / file, folder / file)
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    Repo.init(str(folder)).close()
    return folder


def test_the_main_pipeline_does_not_depend_on_other_pipelines(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`dvc repro` also runs stages of other dvc.yaml files if the main stages depend on them."""
    monkeypatch.chdir(repo)
    shutil.copyfile(ROOT / "params.yaml", repo / "params.yaml")
    with Repo(str(repo)) as opened:
        graph = opened.index.graph
        main = [stage for stage in graph if ":" not in stage.addressing]
        needed = {one.addressing for stage in main for one in descendants(graph, stage)}
    assert {"photos", "train@dakd-haze"} <= needed
    assert not any(":" in name for name in needed)


def test_a_run_on_several_sets_waits_for_the_sets_of_other_pipelines(
    repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repo)
    shutil.copyfile(ROOT / "params.yaml", repo / "params.yaml")
    with Repo(str(repo)) as opened:
        graph = opened.index.graph
        (promoted,) = (stage for stage in graph if stage.name == "promote-dakd-rain--weather")
        needed = {str(one.name) for one in descendants(graph, promoted)}
    sets = {"synthesize@rain", "synthesize@haze", "synthesize@raindrop"}
    stages = {f"{name}-dakd-rain--weather" for name in ("train", "evaluate")}
    assert needed == {"photos", "validation"} | sets | stages


@pytest.mark.parametrize("data_set", ["reflection", "rain", "haze", "inpainting"])
def test_a_deleted_data_set_and_its_run_are_gone_from_dvc(repo: Path, data_set: str) -> None:
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    del values["datasets"][data_set]
    run = next(name for name, run in values["runs"].items() if run["dataset"] == data_set)
    del values["runs"][run]
    (repo / "params.yaml").write_text(yaml.safe_dump(values))
    with Repo(str(repo)) as opened:
        names = {stage.addressing for stage in opened.index.stages}
        opened.status()
    assert "train@dakd-rain" in {name.rpartition(":")[2] for name in names}
    assert not any(name.endswith((f"@{run}", f"synthesize@{data_set}")) for name in names)
