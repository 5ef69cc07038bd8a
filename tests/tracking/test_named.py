"""Models by the names that people give them."""

from pathlib import Path

import pytest
import torch

from restorekit import weights
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


def test_every_shipped_model_loads_by_its_name(tmp_path: Path) -> None:
    for name, record in weights.shipped_records().items():
        assert load_named(f"shipped:{name}", tmp_path)[1] == record
    with pytest.raises(RestorekitError, match="nothing"):
        load_named("shipped:nothing", tmp_path)
