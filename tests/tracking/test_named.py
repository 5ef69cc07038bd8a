"""Models by the names that people give them."""

from pathlib import Path

import pytest
import torch

from restorekit import weights
from restorekit.cli.registry import models
from restorekit.errors import RestorekitError
from restorekit.models import create_model
from restorekit.models.checkpoint import save_model
from restorekit.tracking.named import load_named


def test_a_folder_is_found_from_the_root(tmp_path: Path) -> None:
    torch.manual_seed(0)
    written = save_model(tmp_path / "mine", create_model("glsgn", width=2), {"task": "rain"})
    for name in ("mine", "./mine", str(tmp_path / "mine")):
        assert load_named(name, tmp_path)[1]["digest"] == written["digest"]


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(RestorekitError, match="no model's folder at"):
        load_named("models/none", tmp_path)
    with pytest.raises(RestorekitError, match="no model is registered"):
        load_named("glsgn-rain@champion", tmp_path)


def test_a_shipped_model_is_found_listed_and_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(0)
    record = {"task": "rain", "scores": {"rain100L": {"gain": 4.25}}}
    written = save_model(tmp_path / "shipped/rain", create_model("glsgn", width=2).half(), record)
    monkeypatch.setattr(weights, "FOLDER", tmp_path / "shipped")
    model, found = load_named("shipped:rain", tmp_path)
    assert found == written
    assert {value.dtype for value in model.state_dict().values()} == {torch.float32}
    with pytest.raises(RestorekitError, match="did you mean 'rain'"):
        load_named("shipped:rian", tmp_path)
    monkeypatch.chdir(tmp_path)
    models()
    shown = capsys.readouterr().out.splitlines()[1].split()
    assert shown == ["shipped:rain", "-", "-", written["digest"][:12], "rain100L", "+4.2", "dB"]


def test_every_shipped_model_loads_by_its_name(tmp_path: Path) -> None:
    for name, record in weights.shipped_records().items():
        assert load_named(f"shipped:{name}", tmp_path)[1] == record
    with pytest.raises(RestorekitError, match="nothing"):
        load_named("shipped:nothing", tmp_path)
