"""A second parameters file adds runs to params.yaml; a deleted run or data set disappears from all parameters."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from restorekit.config import check_params, load_params
from restorekit.errors import RestorekitError
from tests.shipped import FILES, ROOT, shipped_values

EXTRAS = FILES[1:]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A folder with the four shipped files."""
    for file in FILES:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / file, tmp_path / file)
    return tmp_path


def edit(file: Path) -> dict[str, Any]:
    return dict(yaml.safe_load(file.read_text()))


def deletions() -> Iterator[tuple[str, str, str]]:
    for file in FILES[:3]:
        values = yaml.safe_load((ROOT / file).read_text())
        yield from ((file, section, name) for section in ("datasets", "runs") for name in values[section])


def test_every_run_has_a_folder_and_a_registered_name() -> None:
    params = load_params(ROOT / "params.yaml", ROOT / "pipelines/ablations/params.yaml")
    assert len(params.runs) == 11
    assert params.areas["dakd-rain"] == "more"
    assert params.areas["dakd-rain--a5-1"] == "ablations/dakd/dakd-rain"
    assert "dakd-haze" not in params.areas
    assert params.registered_name("dakd-rain--a5-1") == "dakd-rain--a5-1"
    assert params.registered_name("dakd-rain") == "dakd-rain"
    long = load_params(ROOT / "params.yaml", ROOT / "pipelines/long/params.yaml")
    assert (long.pipeline, long.areas["madf-inpainting--long"]) == ("long", "long")
    assert long.registered_name("madf-inpainting--long") == "madf-inpainting"
    assert long.registered_name("glsgn-rain-uhd--tiles") == "glsgn-rain-uhd--tiles"


def test_a_model_shares_settings_that_a_run_can_override() -> None:
    params = load_params(ROOT / "params.yaml", ROOT / "pipelines/long/params.yaml")
    shared = yaml.safe_load((ROOT / "params.yaml").read_text())["models"]["dakd"]
    assert params.run("dakd-rain").options.negative_slope == shared["options"]["negative_slope"]
    assert params.run("dakd-haze").options.negative_slope == 0.0
    assert params.training("dakd-haze").grad_clip == shared["train"]["grad_clip"]
    assert params.run("dakd-motion_blur--long").options.width == 32


def test_a_second_files_promotion_settings_win_over_those_below_it(copy: Path) -> None:
    alone = load_params(copy / "params.yaml").promote
    more = load_params(copy / "params.yaml", copy / "pipelines/more/params.yaml").promote
    long = load_params(copy / "params.yaml", copy / "pipelines/long/params.yaml").promote
    assert (alone.clean_psnr, more.clean_psnr, long.clean_psnr) == (25.0, 25.0, 40.0)
    assert long == alone.model_copy(update={"clean_psnr": 40.0})
    values = edit(copy / "pipelines/more/params.yaml")  # the file below long's
    values["promote"] = {"min_gain": 0.5, "clean_psnr": 30.0}
    (copy / "pipelines/more/params.yaml").write_text(yaml.safe_dump(values))
    over = load_params(copy / "params.yaml", copy / "pipelines/long/params.yaml").promote
    assert (over.min_gain, over.clean_psnr) == (0.5, 40.0)
    assert load_params(copy / "params.yaml").promote == alone


@pytest.mark.parametrize("file, section, name", list(deletions()))
def test_a_deletion_removes_the_run_or_data_set_everywhere(copy: Path, file: str, section: str, name: str) -> None:
    """Deletes each run, and each data set with its runs in the same file; other files stay unchanged."""
    values = edit(copy / file)
    del values[section][name]
    gone = {name}
    if section == "datasets":
        gone |= {run for run, settings in values["runs"].items() if settings["dataset"] == name}
        values["runs"] = {run: settings for run, settings in values["runs"].items() if run not in gone}
    (copy / file).write_text(yaml.safe_dump(values))
    for extra in (None, *EXTRAS):
        params = load_params(copy / "params.yaml", None if extra is None else copy / extra)
        runs = dict(params.all_runs())
        assert not gone & set(runs)
        if section == "runs":
            assert not any(run.startswith(f"{name}--") and run in params.ablation_runs for run in runs)
        else:
            assert name not in {dataset for run in runs.values() for dataset in run.shares}


def test_a_run_with_a_deleted_data_set_raises_only_on_request(copy: Path) -> None:
    values = edit(copy / "params.yaml")
    del values["datasets"]["haze"], values["runs"]["dakd-haze"]
    (copy / "params.yaml").write_text(yaml.safe_dump(values))
    params = load_params(copy / "params.yaml", copy / "pipelines/more/params.yaml")
    with pytest.raises(RestorekitError, match=r"run 'dmgn-haze' is left out: unknown data set 'haze'"):
        params.run("dmgn-haze")


def test_a_name_in_two_files_is_refused(copy: Path) -> None:
    values = edit(copy / "pipelines/more/params.yaml")
    values["runs"]["dakd-haze"] = edit(copy / "params.yaml")["runs"]["dakd-haze"]
    (copy / "pipelines/more/params.yaml").write_text(yaml.safe_dump(values))
    with pytest.raises(RestorekitError, match=r"more/params\.yaml: runs\.dakd-haze stands in another file"):
        load_params(copy / "params.yaml", copy / "pipelines/more/params.yaml")


@pytest.mark.parametrize(
    "change, message",
    [
        ({"trian": {}}, r"long/params\.yaml: unknown key 'trian'"),
        ({"runs": None}, r"long/params\.yaml: runs is a mapping of names, found None"),
        ({"over": "pipelines/mor/params.yaml"}, r"no params\.yaml in .*pipelines/mor"),
        ({"ablations": {"dakdd": {}}}, r"ablations\.dakdd"),
        ({"promote": {"clean_psrn": 40.0}}, r"promote\.clean_psrn: .*did you mean 'clean_psnr'"),
        ({"promote": {"clean_psnr": 70.0}}, r"promote\.clean_psnr: .*found 70"),
        ({"promote": 40.0}, r"long/params\.yaml: promote is a mapping of names, found 40"),
        ({"runs": {"madf-inpainting--long": {"model": "madf", "dataset": "inpainting", "options": {"widht": 3}}}},
         r"(?s)params\.yaml with .*runs\.madf-inpainting--long\.options\.widht: .*did you mean 'width'"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_second_file_is_named_by_its_place(copy: Path, change: dict[str, Any], message: str) -> None:
    file = copy / "pipelines/long/params.yaml"
    file.write_text(yaml.safe_dump(edit(file) | change))
    with pytest.raises(RestorekitError, match=message):
        load_params(copy / "params.yaml", file)


@pytest.mark.parametrize(
    "section, key, value, message",
    [
        ("options", "zero_last", "x", r"models\.dakd\.options\.zero_last: .*found 'x'"),
        ("options", "widht", 3, r"models\.dakd\.options\.widht: .*did you mean 'width'"),
        ("train", "grad_clip", -1.0, r"models\.dakd\.train\.grad_clip: .*found -1"),
        ("train", "grad_clp", 1.0, r"models\.dakd\.train\.grad_clp: .*did you mean 'grad_clip'"),
    ],
)
def test_a_mistake_in_shared_settings_is_named_by_its_place(
    copy: Path, section: str, key: str, value: Any, message: str
) -> None:
    values = edit(copy / "params.yaml")
    values["models"]["dakd"][section][key] = value
    (copy / "params.yaml").write_text(yaml.safe_dump(values))
    with pytest.raises(RestorekitError, match=message):
        load_params(copy / "params.yaml")


@pytest.mark.parametrize("empty", [{"dakd": None}, {"dakd": {"options": None}}])
def test_an_empty_section_of_a_model_is_an_error_and_no_crash(empty: dict[str, object]) -> None:
    values = shipped_values()
    run = next(run for run in values["runs"].values() if run["model"] == "dakd")
    run["options"] = {**run.get("options", {}), "wdith": 3}
    with pytest.raises(RestorekitError, match="wdith"):
        check_params({**values, "models": {**values["models"], **empty}})
