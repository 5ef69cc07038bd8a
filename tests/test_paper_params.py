"""The papers' settings are written into the shipped parameters without losing a comment or another value."""

from pathlib import Path

import pytest
import yaml

from restorekit.config import load_params
from restorekit.errors import RestorekitError
from restorekit.paper_params import write_paper_params

SHIPPED = Path(__file__).parent.parent / "params.yaml"


def test_the_papers_settings_are_right_and_comments_stay(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(SHIPPED.read_text())
    write_paper_params(path)
    params = load_params(path)
    for name, run in params.runs.items():
        paper = type(run.options).model_fields["width"].default
        assert (run.options.width, run.options.init, run.train.get("steps", 10**6) >= 10**5) == (
            paper,
            "framework",
            True,
        ), name
        assert params.training(name).optimizer == "adamw", name
    dmgn = params.run("dmgn-rain")
    assert (dmgn.options.trunk, dmgn.objective.pixel, dmgn.objective.perceptual) == ("vgg19", "l1", 0.2)
    config = params.training("dmgn-rain")
    assert (config.crop, config.batch_size, config.lr, config.use_gpu) == (256, 4, 2e-4, True)
    comments = [line.split("#", 1)[1] for line in SHIPPED.read_text().splitlines() if "#" in line]
    assert comments
    assert all(comment in path.read_text() for comment in comments)
    assert params.photos == load_params(SHIPPED).photos


def test_writing_twice_changes_nothing_more(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(SHIPPED.read_text())
    write_paper_params(path)
    once = path.read_text()
    write_paper_params(path)
    assert path.read_text() == once
    assert yaml.safe_load(once) != yaml.safe_load(SHIPPED.read_text())


def test_without_a_file_it_says_where_to_be(tmp_path: Path) -> None:
    with pytest.raises(RestorekitError, match="project's root"):
        write_paper_params(tmp_path / "params.yaml")
