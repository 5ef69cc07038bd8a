"""params.yaml: the shipped file is valid, and the check names each wrong value by its place in the file."""

import copy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest

from restorekit.config import Params, check_params, load_params
from restorekit.config.data import SECTIONS
from restorekit.config.runs import RUNS
from restorekit.degradations import DEGRADATIONS
from restorekit.degradations.composition import MIXTURES
from restorekit.errors import RestorekitError
from restorekit.layouts import LAYOUTS
from restorekit.tasks import FILES, MEMBERS, MODELS, REAL_TASKS, TASKS, tasks_of
from tests.shipped import ROOT, shipped_values

SHIPPED = ROOT / "params.yaml"
Change = Callable[[dict[str, Any]], Any]


def shipped() -> dict[str, Any]:
    return shipped_values()


def test_the_shipped_parameters_are_valid() -> None:
    params = load_params(SHIPPED)
    assert {run.model for run in params.runs.values()} == set(MODELS)
    assert set(check_params(shipped()).datasets) == set(REAL_TASKS)
    assert len(SHIPPED.read_text().splitlines()) <= 150


def test_the_config_accepts_every_kind_of_every_degradation() -> None:
    for task, degradation in DEGRADATIONS.items():
        known = get_args(SECTIONS[task].model_fields["kind"].annotation)
        given = (FILES,) if task == "inpainting" else ()
        assert known == (*sys.modules[type(degradation).__module__].KINDS, "mixed", *given), task
    assert set(SECTIONS) == {*DEGRADATIONS, "masks"}


def test_the_table_of_tasks_matches_degradations_and_models() -> None:
    assert list(TASKS) == list(DEGRADATIONS)
    assert all(degradation.name == name for name, degradation in DEGRADATIONS.items())
    assert TASKS["mixed"].kinds == tuple(MIXTURES)
    assert set(RUNS) == set(MODELS) == {"dakd", "dmgn", "glsgn", "madf"}
    assert all(get_args(run.model_fields["model"].annotation) == (name,) for name, run in RUNS.items())
    assert tasks_of("dakd") == ("rain", "haze", "raindrop", "motion_blur")
    assert sorted(MEMBERS) == ["layer", "mask", "transmission"]
    assert {layout.task for layout in LAYOUTS.values()} - {None} <= set(REAL_TASKS)


def test_a_run_cannot_be_trained_on_a_data_set_of_masks() -> None:
    values = shipped()
    values["datasets"]["masks"] = {"task": "masks", "side": 64} | {
        split: {"masks": 3} for split in ("train", "val", "test")
    }
    assert check_params(values).dataset("masks").task == "masks"
    values["runs"]["dmgn-masks"] = {**values["runs"]["dmgn-rain"], "dataset": "masks"}
    with pytest.raises(RestorekitError, match=r"runs\.dmgn-masks: 'masks' holds masks and no photographs"):
        check_params(values)


def test_a_run_overrides_shared_settings() -> None:
    values = shipped()
    values["runs"]["dmgn-rain"]["train"] = {"lr": 0.5}
    params = check_params(values)
    assert params.training("dmgn-rain").lr == 0.5
    assert params.training("dmgn-haze").lr == values["train"]["lr"]
    assert params.training("dmgn-rain").steps == values["train"]["steps"]


def test_shared_settings_that_every_run_overrides_are_checked_and_optional() -> None:
    values = shipped()
    for run in values["runs"].values():
        run["train"] = {**run.get("train", {}), "lr": 0.001}
    values["train"]["lr"] = "fast"
    with pytest.raises(RestorekitError, match=r"\n  train\.lr: .*'fast'"):
        check_params(values)
    del values["train"]["lr"]
    assert check_params(values).training("dmgn-rain").lr == 0.001


WRONG: list[tuple[Change, str]] = [
    (lambda v: v.update(fotos={}), r"fotos: unknown key 'fotos': did you mean 'photos'"),
    (lambda v: v["train"].update(stepz=3), r"train\.stepz: unknown key 'stepz': did you mean 'steps'"),
    (lambda v: v["train"].update(lr="fast"), r"train\.lr: .*found 'fast'"),
    (lambda v: v["train"].update(lr=float("nan")), r"train\.lr"),
    (lambda v: v["train"].update(precision="fp16"), r"fp16 needs use_gpu"),
    (lambda v: v["train"].update(schedule="milestones"), r"milestones"),
    (lambda v: v["train"].update(flips=["transpose", "transpose"]), r"flips .* name one twice"),
    (lambda v: v["train"].pop("lr"), r"train\.lr: Field required"),
    (lambda v: v["runs"]["dmgn-rain"]["train"].update(lr=-1), r"runs\.dmgn-rain\.train\.lr: .*found -1"),
    (lambda v: v["runs"]["dmgn-rain"]["train"].update(crop=999), r"runs\.dmgn-rain: crop 999 is larger than the tiles"),
    (lambda v: v["runs"]["dmgn-rain"].update(dataset="rian"), r"did you mean 'rain'"),
    (lambda v: v["runs"].update(mine=v["runs"]["dmgn-rain"]), r"named <model>-<data set>, here 'dmgn-rain'"),
    (lambda v: v["runs"]["dmgn-rain"]["options"].update(width="x"), r"options\.width: .*found 'x'"),
    (lambda v: v["datasets"]["rain"].update(severty=1), r"datasets\.rain\.severty: .*did you mean 'severity'"),
    (lambda v: v["datasets"]["rain"].update(severity=[0.9, 0.1]), r"datasets\.rain: severity .* must be \[low, high\]"),
    (lambda v: v["datasets"]["rain"].update(task="hail"), r"datasets\.rain.*'hail'"),
    (lambda v: v["datasets"].update(mist=v["datasets"]["haze"]), r"starts with its task, 'haze'"),
    (lambda v: v["datasets"]["rain"]["train"].update(tile=9000), r"tile 9000 does not fit"),
    (lambda v: v["photos"].update(split={"train": 0.5, "val": 0.1, "test": 0.1}), r"photos\.split: .*is 0\.7"),
    (lambda v: v["datasets"]["inpainting"].update(kind="files"), r"masks, a folder, is given with kind: files"),
    (lambda v: v["datasets"]["inpainting"].update(masks="m"), r"masks, a folder, is given with kind: files"),
    (lambda v: v["synthesize"].update(quality=90), r"synthesize: quality is for encoding: jpeg; png loses nothing"),
    (lambda v: v["synthesize"].update(encoding="jpeg", quality=0), r"synthesize\.quality"),
    (lambda v: v["photos"].update(packages="maybe"), r"photos\.packages: .*'maybe'"),
    (lambda v: v.pop("seed"), r"seed: Field required"),
    (lambda v: v["train"].update(steps=True), r"train\.steps: .*found True"),
    (lambda v: v["train"].update(num_workers=5), r"batch_size 4 is less than a sample for each of 5 workers"),
    (lambda v: v["train"].update(betas=[1.0, 1.0]), r"train\.betas"),
    (lambda v: v["runs"]["dmgn-rain"]["options"].update(variant="haze"), r"variant 'haze' is not for 'rain'"),
    (
        lambda v: v["runs"]["dakd-haze"].update(objective={"localise_steps": 1, "pixel": "l1", "huber_delta": 0.2}),
        r"huber_delta needs pixel: huber",
    ),
    (lambda v: v["runs"]["dmgn-rain"].update(objective={"perceptual_trunk": "vgg19"}), r"need perceptual above 0"),
    (lambda v: v["runs"].update({"dmgn-rain--../../x": v["runs"]["dmgn-rain"]}), r"runs\.dmgn-rain--"),
]


RAIN = {"task": "rain", "layout": "rain100L-train", "root": "a", "train": {"tiles": 2, "tile": 144, "shards": 2}}
TEST = {"task": "rain", "layout": "rain100L-test", "root": "a"}
CHOOSING = {"task": "rain", "layout": "rain100L-train", "root": "./a/"}
FRAMES = {"layout": "rain100L-train", "root": "a"}


def with_real(train: dict[str, Any] | None = None, evaluate: dict[str, Any] | None = None) -> Change:
    return lambda v: v.update(real={"train": train or {}, "evaluate": evaluate or {}})


def with_real_run(values: dict[str, Any]) -> None:
    values["real"] = {"train": {"rain-100L": RAIN}, "evaluate": {"rain100L": TEST}}
    values["runs"]["dmgn-rain-100L"] = {**values["runs"]["dmgn-rain"], "dataset": "rain-100L"}


WRONG += [
    (with_real({"100L": RAIN}), r"real\.train\.100L: name it 'rain-'"),
    (with_real({"rain": RAIN}), r"something that no other set is called"),
    (with_real({"rain-x": RAIN | {"layout": "rain100Ltrain"}}), r"real\.train\.rain-x.*did you mean 'rain100L-train'"),
    (with_real({"rain-x": RAIN | {"layout": "gopro-train"}}), r"'gopro-train' is for the task motion_blur, not rain"),
    (with_real({"rain-x": RAIN | {"layout": "unpaired"}}), r"'unpaired' has no clean images to train on"),
    (with_real({"rain-x": RAIN | {"rot": "b"}}), r"real\.train\.rain-x\.rot: .*did you mean 'root'"),
    (with_real({"rain-x": RAIN | {"val": {"share": 1.0}}}), r"real\.train\.rain-x\.val\.share"),
    (with_real({"rain-x": RAIN | {"task": "inpaint"}}), r"real\.train\.rain-x\.task: .*'inpainting'"),
    (with_real({"rain-x": RAIN | {"task": "inpainting"}}), r"'rain100L-train' is for the task rain, not inpainting"),
    (with_real(None, {"synthetic-test": TEST}), r"that is what the synthetic test images are called"),
    (with_real(None, {"a/b": TEST}), r"real\.evaluate"),
    (with_real({"rain-x": RAIN}, {"y": TEST | {"layout": "rain100L-train"}}), r"y is what train\.rain-x is trained on"),
    (lambda v: v["real"].update(validate={"x": CHOOSING | {"frist": 3}}), r"x\.frist: .*did you mean 'first'"),
    (lambda v: v["real"].update(validate={"x": CHOOSING | {"layout": "unpaired"}}), r"no clean images to choose by"),
    (lambda v: v["real"].update(validat={}), r"real\.validat: .*did you mean 'validate'"),
    (lambda v: v["real"].update(validation={}), r"real\.validation: .*did you mean 'validate'"),
    (
        lambda v: (v["real"].update(validate={"x": CHOOSING}), v["datasets"]["rain"].update(pairs=[FRAMES])),
        r"datasets\.rain\.pairs: real\.validate\.x chooses by these pairs",
    ),
    (lambda v: (with_real_run(v), v["real"].update(evaluate={})), r"no pairs to judge it by: add some for rain"),
    (lambda v: v["photos"].update(folders=[{"root": "a", "layout": "celebA"}]), r"photos\.folders\.0.*'celeba'"),
    (lambda v: v["photos"].update(folders=[{"root": "a", "photographs": 3}]), r"name the layout"),
    (lambda v: v["photos"].update(folders=[{"rooot": "a"}]), r"photos\.folders\.0\.rooot: .*did you mean 'root'"),
]


def test_a_run_can_be_trained_on_real_pairs() -> None:
    values = shipped()
    with_real_run(values)
    params = check_params(values)
    assert params.trained_on("rain-100L").train.tile == 144
    assert list(params.real.to_evaluate("rain")) == ["rain100L"]
    assert params.real.to_evaluate("haze") == {}
    assert check_params(params.model_dump(mode="json")) == params


def with_shares(shares: Any, run: str = "dmgn-rain") -> Change:
    def change(values: dict[str, Any]) -> None:
        with_real_run(values)
        values["runs"][run] = {**values["runs"][run], "dataset": shares}

    return change


WRONG += [
    (
        with_shares({"rain": 0.7, "rain-100L": 0.4}),
        r"runs\.dmgn-rain\.dataset: the shares add up to 1\.1; they must add",
    ),
    (with_shares({"rain": 1.0}), r"runs\.dmgn-rain\.dataset: one data set needs no share: write rain alone"),
    (with_shares({"rain": 1.0, "rain-100L": 0}), r"runs\.dmgn-rain\.dataset: each share is a number above 0"),
    (with_shares(["rain", "rain-100L"]), r"runs\.dmgn-rain\.dataset: write a data set's name, or several with shares"),
    (
        with_shares({"rain": 0.7, "rain-100": 0.3}),
        r"runs\.dmgn-rain: unknown data set 'rain-100'.*did you mean 'rain-100L'",
    ),
    (with_shares({"rain-100L": 0.7, "rain": 0.3}), r"named <model>-<data set>, here 'dmgn-rain-100L'"),
    (
        with_shares({"rain": 0.7, "haze": 0.3}),
        r"runs\.dmgn-rain: variant 'rain' is not for 'haze', whose task is 'haze'",
    ),
    (
        with_shares({"rain": 0.7, "inpainting": 0.3}, "dakd-rain"),
        r"dakd-rain: dakd is for .*; 'inpainting' is for inpaint",
    ),
    (
        lambda v: (
            with_shares({"rain": 0.7, "rain-100L": 0.3})(v),
            v["real"]["train"]["rain-100L"]["train"].update(tile=48),
        ),
        r"crop 64 is larger than the tiles of 'rain-100L' \(48\)",
    ),
]


def test_a_run_can_be_trained_on_several_data_sets() -> None:
    values = shipped()
    with_shares({"rain": 0.5, "raindrop": 0.25, "rain-100L": 0.25}, "dakd-rain")(values)
    params = check_params(values)
    run = params.run("dakd-rain")
    assert run.shares == {"rain": 0.5, "raindrop": 0.25, "rain-100L": 0.25}
    assert (run.first_set, params.task_of(run), params.tasks_of(run)) == ("rain", "rain", ["rain", "raindrop"])
    assert list(params.real_tests(run)) == ["rain100L"]
    assert run.data_in_words == "rain (50 %), raindrop (25 %), rain-100L (25 %)"
    assert check_params(params.model_dump(mode="json")) == params
    alone = params.run("glsgn-rain")
    assert (alone.shares, alone.first_set, alone.data_in_words) == ({"rain": 1.0}, "rain", "rain")


@pytest.mark.parametrize("change, message", WRONG)
def test_each_wrong_value_is_named_by_its_place(change: Change, message: str) -> None:
    values = shipped()
    change(values)
    with pytest.raises(RestorekitError, match=message):
        check_params(values)


def test_all_problems_are_reported_together() -> None:
    values = shipped()
    values["seed"], values["photos"]["min_side"] = -1, 0
    with pytest.raises(RestorekitError, match=r"(?s)seed.*photos\.min_side"):
        check_params(values)


@pytest.mark.parametrize("text", ["", "- a", "a: [", "\x00"])
def test_a_file_without_parameters_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(RestorekitError, match=r"params\.yaml"):
        load_params(tmp_path / "params.yaml")


def test_a_missing_file_names_the_projects_root(tmp_path: Path) -> None:
    with pytest.raises(RestorekitError, match="project's root"):
        load_params(tmp_path / "params.yaml")


def test_unknown_names_suggest_the_nearest_name() -> None:
    params: Params = check_params(shipped())
    with pytest.raises(RestorekitError, match="did you mean 'dmgn-rain'"):
        params.run("dmgn-rian")
    with pytest.raises(RestorekitError, match="did you mean 'haze'"):
        params.dataset("hase")


def test_checking_does_not_change_the_values() -> None:
    values = shipped()
    before = copy.deepcopy(values)
    check_params(values)
    assert values == before


def test_the_detectors_data_sets_are_checked_when_they_are_asked_for() -> None:
    values = shipped()
    with pytest.raises(RestorekitError, match=r"name data sets in `detector\.datasets`"):
        check_params(values).detector_sets()
    for datasets, crop, message in (
        ({"rian": 1.0}, 64, "did you mean 'rain'"),
        ({"inpainting": 1.0}, 64, "'inpainting' shows nothing that a photo is searched for"),
        ({"haze": 1.0, "rain": 1.0}, 160, r"detector\.crop 160 is larger than the tiles of 'haze' \(144\)"),
    ):
        params = check_params({**values, "detector": {"datasets": datasets, "crop": crop}})
        with pytest.raises(RestorekitError, match=message):
            params.detector_sets()
    assert check_params({**values, "detector": {"datasets": {"rain": 2}, "crop": 64}}).detector_sets() == {"rain": 2.0}


@pytest.mark.parametrize(
    "section, message",
    [
        ({"stpes": 3}, r"detector\.stpes: .*did you mean 'steps'"),
        ({"faint": [0.3, 0.1]}, r"detector: faint \[0\.3, 0\.1\] must be \[low, high\]"),
        ({"crop": 100}, r"detector\.crop: .*multiple of 16"),
        ({"false_alarms": 0.0}, r"detector\.false_alarms: .*found 0"),
    ],
)
def test_a_mistake_in_the_detectors_section_is_named(section: dict[str, Any], message: str) -> None:
    with pytest.raises(RestorekitError, match=message):
        check_params({**shipped(), "detector": section})
