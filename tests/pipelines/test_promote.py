"""promote: the better model becomes champion, a worse model does not, and every decision is kept."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.evaluate import evaluate
from pipelines.promote import promote
from restorekit.config import Params, check_params
from restorekit.errors import RestorekitError
from restorekit.paths import Paths
from restorekit.tracking.registry import load_registered
from restorekit.tracking.store import tracking_uri
from restorekit.tracking.versions import find_alias, versions_of

WriteModel = Callable[..., None]
RUN = "dmgn-rain"


@pytest.fixture
def judge(params: Params, paths: Paths, write_model: WriteModel) -> Callable[[float], dict[str, Any]]:
    """A function that writes a model as a training would, evaluates and promotes it, and returns the decision."""

    def judged(levels: float) -> dict[str, Any]:
        write_model(levels)
        evaluate(RUN, params, paths)
        shutil.rmtree(paths.promotions, ignore_errors=True)  # as DVC does
        promote(params, paths)
        return current(paths)

    return judged


def log(paths: Paths) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((paths.promotions / "decisions.json").read_text())
    return value


def current(paths: Paths) -> dict[str, Any]:
    (decision,) = log(paths)["current"]
    return dict(decision)


def champion(paths: Paths) -> int | None:
    found = find_alias(RUN, "champion", paths.root)
    return None if found is None else found.version


def test_a_better_model_replaces_the_champion(judge: Callable[[float], dict[str, Any]], paths: Paths) -> None:
    worse_than_nothing = judge(-10.0)
    assert (worse_than_nothing["decision"], worse_than_nothing["alias"]) == ("rejected", "candidate")
    assert worse_than_nothing["gain"] < 0
    assert champion(paths) is None

    first = judge(12.0)
    assert (first["decision"], first["alias"], first["champion_before"]) == ("promoted", "champion", None)
    assert first["opponent"] == "the degraded images themselves"
    assert (first["n"], first["photographs"], first["metric"]) == (6, 2, "psnr_rgb")
    assert champion(paths) == 2

    worse = judge(5.0)  # better than the degraded images, worse than the champion
    assert (worse["decision"], worse["champion_before"], worse["alias"]) == ("rejected", 2, "candidate")
    assert worse["opponent"] == "the champion, version 2"
    assert worse["gain"] < 0
    assert champion(paths) == 2

    better = judge(24.0)
    assert (better["decision"], better["champion_before"], better["version"]) == ("promoted", 2, 4)
    assert champion(paths) == 4

    again = judge(24.0)
    assert (again["decision"], again["alias"]) == ("already champion", "champion")
    assert champion(paths) == 4

    history = [(one["version"], one["decision"]) for one in log(paths)["history"]]
    assert history == [(1, "rejected"), (2, "promoted"), (3, "rejected"), (4, "promoted")]
    judge(5.0)  # the same model against a new champion is a new decision
    assert [one["number"] for one in log(paths)["history"]] == [1, 2, 3, 4, 5]
    assert [version.aliases for version in versions_of(RUN, paths.root)] == [("champion",), ("candidate",), (), ()]


def test_deciding_twice_gives_the_same_log(
    params: Params, paths: Paths, judge: Callable[[float], dict[str, Any]]
) -> None:
    judge(-10.0)
    first = log(paths)
    promote(params, paths)
    assert log(paths) == first


def test_a_gain_below_min_gain_is_not_enough(params: Params, paths: Paths, write_model: WriteModel) -> None:
    values = params.model_dump(mode="json")
    values["promote"]["min_gain"] = 10.0
    strict = check_params(values)
    write_model(12.0)
    evaluate(RUN, strict, paths)
    promote(strict, paths)
    assert current(paths)["decision"] == "rejected"
    assert "10 dB" in current(paths)["reasons"][1]


def with_floor(params: Params, floor: float | None) -> Params:
    values = params.model_dump(mode="json")
    values["promote"]["clean_psnr"] = floor
    return check_params(values)


def test_a_model_that_harms_clean_photographs_is_not_promoted(params: Params, evaluated: Paths) -> None:
    paths = evaluated
    figure = json.loads((paths.evaluation(RUN) / "metrics.json").read_text())["synthetic-test"]["clean_psnr"]["mean"]
    promote(with_floor(params, figure + 0.01), paths)
    refused = current(paths)
    assert (refused["decision"], refused["alias"]) == ("rejected", "candidate")
    assert (refused["clean_psnr"], refused["clean_floor"]) == (figure, figure + 0.01)
    assert refused["reasons"][-1].startswith(f"clean photographs are harmed: clean_psnr {figure:.2f} dB")
    assert refused["reasons"][-1].endswith("the floor promote.clean_psnr")
    assert champion(paths) is None
    promote(with_floor(params, figure), paths)
    assert (current(paths)["decision"], current(paths)["clean_floor"]) == ("promoted", figure)
    assert champion(paths) == 1
    assert [one["decision"] for one in log(paths)["history"]] == ["rejected", "promoted"]


def test_without_a_floor_clean_photographs_decide_nothing(params: Params, evaluated: Paths) -> None:
    paths = evaluated
    promote(with_floor(params, None), paths)
    decision = current(paths)
    assert (decision["decision"], decision["clean_floor"]) == ("promoted", None)
    assert decision["clean_psnr"] == pytest.approx(20.53, abs=0.1)
    assert not any("clean" in reason for reason in decision["reasons"])


def test_an_evaluation_of_another_format_has_the_remedy(params: Params, evaluated: Paths) -> None:
    paths = evaluated
    evaluation = paths.evaluation(RUN) / "evaluation.json"
    values = json.loads(evaluation.read_text())
    del values["clean"]
    evaluation.write_text(json.dumps(values | {"format": 3}))  # the last format without clean photographs
    with pytest.raises(RestorekitError, match="another version of restorekit: run `dvc repro evaluate@dmgn-rain`"):
        promote(params, paths)
    assert champion(paths) is None


def test_an_evaluation_of_other_inputs_is_refused(params: Params, paths: Paths, write_model: WriteModel) -> None:
    write_model(12.0)
    with pytest.raises(RestorekitError, match="dmgn-rain is not evaluated yet: run `dvc repro evaluate@dmgn-rain`"):
        promote(params, paths)
    evaluate(RUN, params, paths)
    write_model(13.0)
    with pytest.raises(RestorekitError, match="of another model than"):
        promote(params, paths)
    write_model(12.0)
    evaluation = paths.evaluation(RUN) / "evaluation.json"
    evaluation.write_text(
        evaluation.read_text().replace('"dataset": "synthetic-test",\n   "digest": "', '"digest": "0')
    )
    with pytest.raises(RestorekitError, match="on other test images"):
        promote(params, paths)
    assert not paths.promotions.exists()
    assert champion(paths) is None


def test_a_champion_without_files_is_ignored(judge: Callable[[float], dict[str, Any]], paths: Paths) -> None:
    judge(24.0)
    lost = find_alias(RUN, "champion", paths.root)
    assert lost is not None
    with lost.files(tracking_uri(paths.root)) as folder:
        shutil.rmtree(folder)
    other = judge(12.0)
    assert other["decision"] == "promoted"
    assert other["reasons"][-1] == "the champion, version 1, can no longer load and was not compared"
    assert champion(paths) == 2

    with find_alias(RUN, "champion", paths.root).files(tracking_uri(paths.root)) as folder:  # type: ignore[union-attr]
        shutil.rmtree(folder)
    same = judge(12.0)  # registered again as a new version, which takes the alias
    assert same["decision"] == "already champion"
    assert champion(paths) == 3
    assert load_registered(RUN, root=paths.root)[1]["digest"] == same["digest"]


def test_a_champion_that_no_longer_loads_is_ignored(judge: Callable[[float], dict[str, Any]], paths: Paths) -> None:
    judge(24.0)
    old = find_alias(RUN, "champion", paths.root)
    assert old is not None
    with old.files(tracking_uri(paths.root)) as folder:
        record = next(folder.rglob("model.json"))
        record.write_text(record.read_text().replace('"width": 4', '"width": 5'))
    with pytest.raises(RestorekitError, match="version 1 of 'dmgn-rain' cannot be loaded"):
        load_registered(RUN, root=paths.root)
    newer = judge(12.0)
    assert newer["decision"] == "promoted"
    assert newer["reasons"][-1] == "the champion, version 1, can no longer load and was not compared"


def test_promotion_rebuilds_a_lost_registry(
    params: Params,
    paths: Paths,
    judge: Callable[[float], dict[str, Any]],
    empty_store: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    judge(24.0)
    shutil.copyfile(empty_store, paths.root / "other.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///other.db")
    promote(params, paths)  # as after DVC restores the evaluation from its cache
    assert current(paths)["decision"] == "promoted"
    assert champion(paths) == 1


def two_runs(params: Params, other: str = "dmgn-rain--other") -> Params:
    """The parameters with a second run, before the first in order."""
    values = params.model_dump(mode="json")
    values["runs"] = {other: values["runs"][RUN], **values["runs"]}
    return check_params(values)


def test_runs_without_an_evaluation_are_left_out_and_named(
    params: Params, paths: Paths, write_model: WriteModel, capsys: pytest.CaptureFixture[str]
) -> None:
    both, other = two_runs(params), "dmgn-rain--other"
    with pytest.raises(RestorekitError, match=f"nothing to promote: {other} is not trained yet: .*; {RUN} is not"):
        promote(both, paths)
    assert not paths.promotions.exists()
    write_model(24.0)
    evaluate(RUN, both, paths)
    promote(both, paths)
    assert (current(paths)["run"], current(paths)["decision"]) == (RUN, "promoted")
    reason = f"not trained yet: run `dvc repro train@{other}`"
    assert log(paths)["left_out"] == [{"run": other, "reason": reason}]
    assert f"{other} is {reason}" in capsys.readouterr().out
    write_model(12.0, run=other)
    promote(both, paths)
    assert log(paths)["left_out"] == [{"run": other, "reason": f"not evaluated yet: run `dvc repro evaluate@{other}`"}]
    evaluate(other, both, paths)
    promote(both, paths)
    assert [decision["run"] for decision in log(paths)["current"]] == [other, RUN]
    assert log(paths)["left_out"] == []


def test_a_contradiction_in_one_run_changes_no_alias_of_another(
    params: Params, paths: Paths, write_model: WriteModel
) -> None:
    both, other = two_runs(params), "dmgn-rain--other"
    write_model(24.0, run=other, registered_name=other)
    evaluate(other, both, paths)
    write_model(12.0)
    evaluate(RUN, both, paths)
    write_model(13.0)
    with pytest.raises(RestorekitError, match="of another model than"):
        promote(both, paths)
    assert not paths.promotions.exists()
    assert [version.aliases for name in (other, RUN) for version in versions_of(name, paths.root)] == [
        ("candidate",), ("candidate",),
    ]  # fmt: skip


def test_nothing_is_promoted_where_the_parameters_changed_meanwhile(params: Params, evaluated: Paths) -> None:
    def check() -> None:
        raise RestorekitError("its parameters changed while promote ran")

    with pytest.raises(RestorekitError, match="changed while"):
        promote(params, evaluated, check=check)
    assert champion(evaluated) is None
    promote(params, evaluated)
    assert champion(evaluated) == 1


def test_a_run_of_its_own_is_one_of_a_second_file(params: Params, paths: Paths) -> None:
    with pytest.raises(RestorekitError, match=r"unknown run 'dmgn-rian': did you mean 'dmgn-rain'"):
        promote(params, paths, "dmgn-rian")
    with pytest.raises(RestorekitError, match="'dmgn-rain' is promoted with the other runs"):
        promote(params, paths, RUN)
