"""The traits of public pairs: measured values that ship with the code, and the script that measures them."""

import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

from restorekit.degradations import DEGRADATIONS
from restorekit.image import encode_rgb
from restorekit.report.traits import reference_traits, traits_of

SCRIPT = Path(__file__).parents[1] / "bench" / "reference_traits.py"


def test_reference_traits_cover_every_task_with_public_pairs() -> None:
    public = reference_traits()
    assert (
        {one.task for one in public} == {"rain", "haze", "reflection", "raindrop", "motion_blur"} <= set(DEGRADATIONS)
    )
    assert len({one.name for one in public}) == len(public)
    for one in public:
        assert one.n > 0
        assert 5.0 < one.psnr[0] <= one.psnr[1] <= one.psnr[2] < 40.0
        assert 0.0 < one.share[0] <= one.share[1] <= one.share[2] <= 1.0
        assert (one.direction is not None) == (one.task == "rain")


def test_the_script_measures_traits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    pairs = []
    for number in range(3):
        clean = rng.integers(60, 200, (40, 50, 3)).astype(np.uint8)
        degraded = clean.copy()
        degraded[: 8 * number + 8] += 20
        for folder, image in (("input", degraded), ("target", clean)):
            (tmp_path / "set" / folder).mkdir(parents=True, exist_ok=True)
            (tmp_path / "set" / folder / f"{number}.png").write_bytes(encode_rgb(image, "png"))
        pairs.append((degraded, clean))
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), str(tmp_path / "t.json"), f"haze:Mine:plain:{tmp_path / 'set'}"])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    (entry,) = json.loads((tmp_path / "t.json").read_text())
    expected = traits_of("haze", "Mine", pairs)
    assert (entry["task"], entry["name"], entry["n"], entry["direction"]) == ("haze", "Mine", 3, None)
    assert entry["psnr"] == pytest.approx(expected.psnr, abs=0.005)
    assert entry["share"] == pytest.approx(expected.share, abs=0.0005)
