"""Shipping a detector: its weights, its card, and what is refused."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from restorekit.detection.calibration import Calibration
from restorekit.detection.folder import load_detector, save_detector
from restorekit.detection.network import DetectorNetwork
from restorekit.errors import RestorekitError
from restorekit.report.ship_detector import ship_detector
from restorekit.shards.reader import iter_samples
from restorekit.tasks import DETECTED
from tests.report.test_ship import photographs

EVEN = Calibration(dict.fromkeys(DETECTED, 1.0), dict.fromkeys(DETECTED, 0.5))
ROW = {
    "task": "rain", "set": "rain100L",
    "wrong": {"n": 10, "right": 9, "answers": {"rain": 9, "nothing": 1}, "seconds": 0.1},
    "clean": {"n": 10, "right": 10, "answers": {"nothing": 10}, "seconds": 0.1},
}  # fmt: skip


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    record = {
        "seed": 1, "steps": 10, "git_revision": "0" * 40, "datasets": {"rain-wide": "a digest"},
        "validation": {"clean_left_alone": 0.96, "rain_found": 0.9, "rain_first": 0.8},
    }  # fmt: skip
    save_detector(tmp_path / "trained", DetectorNetwork(len(DETECTED), 4), EVEN, record)
    return tmp_path / "trained"


def bench(trained: Path, **changes: Any) -> dict[str, Any]:
    digest = load_detector(trained)[2]["digest"]
    return {
        "digest": digest, "positions": "odd", "pairs": 0.9, "real": 0.8, "clean": 0.95, "rows": [ROW], **changes
    }  # fmt: skip


def test_a_shipped_detector_has_16_bits_and_a_card(trained: Path, tiny_shards: Path, tmp_path: Path) -> None:
    samples = iter_samples(tiny_shards / "val")
    digest = ship_detector(trained, photographs("CC0-1.0"), bench(trained), "a thread", samples, tmp_path / "to")
    folder = tmp_path / "to/detector"
    network, calibration, record = load_detector(folder)
    assert (record["digest"], calibration) == (digest, EVEN)
    before = load_detector(trained)[0].state_dict()
    assert all(torch.equal(value, before[name].half().float()) for name, value in network.state_dict().items())
    assert {tensor.dtype for tensor in load_file(folder / "weights.safetensors").values()} == {torch.float16}
    card = (folder / "README.md").read_text()
    assert "| rain/rain100L | 9 of 10 | rain 9, nothing 1 | 10 of 10 |" in card
    assert "| a page | CC0-1.0 |" in card
    assert "| rain | 1.00 | 0.50 | 0.90 | 0.80 |" in card
    assert "| haze | 1.00 | 0.50 | - | - |" in card


def test_what_may_not_be_shipped_is_refused(trained: Path, tiny_shards: Path, tmp_path: Path) -> None:
    samples = list(iter_samples(tiny_shards / "val"))
    for photos, judged, shown, message in (
        (photographs("CC-BY-SA-4.0"), bench(trained), samples, "a page among them"),
        (photographs("CC0-1.0"), bench(trained, digest="another"), samples, "judged another detector"),
        (photographs("CC0-1.0"), bench(trained), [], "no test images to compare"),
    ):
        with pytest.raises(RestorekitError, match=message):
            ship_detector(trained, photos, judged, "a thread", shown, tmp_path / "to")
    assert not (tmp_path / "to" / "detector").exists()
