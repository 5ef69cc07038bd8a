"""Writing the papers' settings into the shipped parameters keeps every comment and every other value."""

import shutil
from pathlib import Path

import pytest
import yaml

from restorekit.config import load_params
from restorekit.errors import RestorekitError
from restorekit.paper_params import write_paper_params
from tests.shipped import FILES, ROOT

SHIPPED = ROOT / "params.yaml"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The params.yaml of a folder with all shipped files."""
    for file in FILES:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / file, tmp_path / file)
    return tmp_path / "params.yaml"


def test_the_papers_settings_are_valid_and_comments_stay(path: Path) -> None:
    write_paper_params(path)
    params = load_params(path, path.parent / "pipelines/more/params.yaml")
    assert len(params.runs) == 11
    for name, run in params.runs.items():
        paper = type(run.options).model_fields["width"].default
        drawn = getattr(run.options, "init", "framework")
        assert (run.options.width, drawn, run.train.get("steps", 10**6) >= 10**5) == (
            paper,
            "framework",
            True,
        ), name
        assert params.training(name).optimizer == "adamw", name
    dmgn = params.run("dmgn-rain")
    assert (dmgn.options.trunk, dmgn.objective.pixel, dmgn.objective.perceptual) == ("vgg19", "l1", 0.2)
    config = params.training("dmgn-rain")
    assert (config.crop, config.batch_size, config.lr, config.use_gpu) == (256, 4, 2e-4, True)
    for file in FILES:
        comments = [line.split("#", 1)[1] for line in (ROOT / file).read_text().splitlines() if "#" in line]
        assert comments, file
        assert all(comment in (path.parent / file).read_text() for comment in comments), file
    assert params.photos == load_params(SHIPPED).photos
    assert params.run("madf-inpainting").objective.style_on == "out_1"


def test_every_file_loads_with_the_papers_settings(path: Path) -> None:
    write_paper_params(path)
    long = load_params(path, path.parent / "pipelines/long/params.yaml")
    uhd = long.training("glsgn-rain-uhd--long")
    assert (uhd.steps, uhd.crop, uhd.batch_size, long.datasets["rain-uhd"].short_side) == (400_000, 1024, 1, 2160)
    assert load_params(path, path.parent / "pipelines/ablations/params.yaml").ablation_runs


def test_the_settings_for_several_gpus_are_valid_and_see_the_papers_samples(path: Path) -> None:
    write_paper_params(path)
    values = yaml.safe_load(path.read_text())
    more = path.parent / "pipelines/more/params.yaml"
    alone = load_params(path, more)
    for gpus in (8, 64):
        write_paper_params(path, gpus)
        params = load_params(path, more)
        for name in params.runs:
            config, one = params.training(name), alone.training(name)
            assert (config.num_workers, config.global_batch) == (gpus, gpus * one.global_batch), name
            assert config.steps == -(-one.steps // gpus), name
            assert config.lr_factor == pytest.approx(gpus**0.5), name
            assert config.scaled_warmup < config.steps / 10, name
        long = load_params(path, path.parent / "pipelines/long/params.yaml")
        assert long.training("glsgn-rain-uhd--long").global_batch == gpus
        assert long.training("madf-inpainting--long").most_workers == 1  # a run of its own
        assert load_params(path, path.parent / "pipelines/ablations/params.yaml").ablation_runs
    write_paper_params(path)
    assert yaml.safe_load(path.read_text()) == values


def test_the_settings_for_one_gpu_leave_no_line_of_many(path: Path) -> None:
    write_paper_params(path)
    once = {file: yaml.safe_load((path.parent / file).read_text()) for file in FILES}
    for gpus in (8, 64):
        write_paper_params(path, gpus)
        assert {file: yaml.safe_load((path.parent / file).read_text()) for file in FILES} != once
        write_paper_params(path)
        assert {file: yaml.safe_load((path.parent / file).read_text()) for file in FILES} == once


def test_a_run_that_keeps_one_gpu_keeps_its_batch_and_rate(path: Path) -> None:
    found: list[dict[str, tuple[int, float]]] = []
    for gpus in (1, 64):
        write_paper_params(path, gpus)
        here: dict[str, tuple[int, float]] = {}
        for name in ("long", "ablations"):
            params = load_params(path, path.parent / f"pipelines/{name}/params.yaml")
            configs = {run: params.training(run) for run in params.runs}
            alone = {run: one for run, one in configs.items() if "--" in run and one.most_workers == 1}
            here |= {run: (one.global_batch, one.in_world(1).lr) for run, one in alone.items()}
        found.append(here)
    assert any(run.startswith("dakd-") for run in found[1])
    assert found[1].items() <= found[0].items()


def test_writing_twice_equals_writing_once(path: Path) -> None:
    write_paper_params(path)
    once = [(path.parent / file).read_text() for file in FILES]
    write_paper_params(path)
    assert [(path.parent / file).read_text() for file in FILES] == once
    assert yaml.safe_load(once[0]) != yaml.safe_load(SHIPPED.read_text())


def test_a_deleted_run_does_not_come_back(path: Path) -> None:
    values = yaml.safe_load(path.read_text())
    del values["runs"]["dmgn-reflection"], values["runs"]["dakd-haze"], values["datasets"]["haze"]
    path.write_text(yaml.safe_dump(values))
    write_paper_params(path)
    assert set(load_params(path).runs) == {"glsgn-rain", "madf-inpainting"}


def test_a_missing_file_names_the_projects_root(tmp_path: Path) -> None:
    with pytest.raises(RestorekitError, match="project's root"):
        write_paper_params(tmp_path / "params.yaml")
