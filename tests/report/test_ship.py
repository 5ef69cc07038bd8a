"""Shipping a model: its weights, its card, and what is refused."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from restorekit.errors import RestorekitError
from restorekit.models import create_model
from restorekit.models.checkpoint import load_model, save_model
from restorekit.report.ship import ship
from restorekit.sources.photo_index import Photograph, PhotoManifest

TABLE = {
    "set": "rain100L", "n": 20,
    "scores": {"psnr_rgb": {"before": 25.56, "gain": 4.0, "ci95": [3.0, 5.0]}},
    "clean": {"clean_psnr": 41.0, "clean_detail": 0.97},
}  # fmt: skip


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    record = {"run": "glsgn-rain", "task": "rain", "dataset": "rain", "seed": 1, "steps": 10, "git_revision": "0" * 40}
    save_model(tmp_path / "trained", create_model("glsgn", width=2), record)
    return tmp_path / "trained"


def photographs(*licences: str) -> PhotoManifest:
    one = Photograph("a", "a.png", 64, 64, "", 0, "", "a page", "train", "a")
    named = (replace(one, name=f"{n}", scene=f"{n}", license=text) for n, text in enumerate(licences))
    return PhotoManifest(tuple(named))


def test_a_shipped_model_has_16_bits_and_a_card(trained: Path, tiny_shards: Path, tmp_path: Path) -> None:
    digest = ship(trained, "rain", photographs("CC0-1.0"), [TABLE], "a thread", tiny_shards / "val", tmp_path / "to")
    folder = tmp_path / "to/rain"
    model, record = load_model(folder)
    before = load_model(trained)[0].state_dict()
    assert record["digest"] == digest
    assert record["scores"] == {"rain100L": {"n": 20, "before": 25.56, "gain": 4.0, "ci95": [3.0, 5.0]}}
    assert all(value.dtype == torch.float32 for value in model.state_dict().values())
    assert all(torch.equal(value, before[name].half().float()) for name, value in model.state_dict().items())
    assert {tensor.dtype for tensor in load_file(folder / "weights.safetensors").values()} == {torch.float16}
    card = (folder / "README.md").read_text()
    assert "| rain100L | 20 | 25.56 dB | +4.00 (3.00 to 5.00) | 41.0 dB | 0.97 |" in card
    assert "| a page | CC0-1.0 |" in card
    shown = {line.partition("](")[2].rstrip(")") for line in card.splitlines() if line.startswith("![")}
    assert shown == {file.relative_to(folder).as_posix() for file in (folder / "pictures").iterdir()}


def test_a_photograph_that_is_not_free_is_named(trained: Path, tiny_shards: Path, tmp_path: Path) -> None:
    mixed = photographs("CC0-1.0", "CC-BY-SA-4.0")
    with pytest.raises(RestorekitError, match="1 of 2 are not, a page among them"):
        ship(trained, "rain", mixed, [], "a thread", tiny_shards / "val", tmp_path / "to")
    assert not (tmp_path / "to").exists()


def test_weights_that_16_bits_cannot_hold_are_refused(tiny_shards: Path, tmp_path: Path) -> None:
    model = create_model("glsgn", width=2)
    with torch.no_grad():
        next(model.parameters()).fill_(1e6)  # above the largest number of 16 bits
    save_model(tmp_path / "trained", model, {"run": "r", "task": "rain", "dataset": "rain", "seed": 1, "steps": 1})
    with pytest.raises(RestorekitError):
        ship(tmp_path / "trained", "rain", photographs("CC0-1.0"), [], "it", tiny_shards / "val", tmp_path / "to")
    assert not (tmp_path / "to/rain").exists()
