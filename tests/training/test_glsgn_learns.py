"""GLSGN overfits four frames in a minute (glsgn.md 12.12) and ends ahead of its one-path variants."""

from functools import cache

import cv2
import numpy as np
import pytest
import torch
from skimage.data import astronaut, chelsea, coffee, rocket
from torch import Tensor

from restorekit.config import GlsgnRun
from restorekit.degradations import Scene, get_degradation
from restorekit.image import to_float
from restorekit.models import create_model
from restorekit.models.glsgn import GLSGN
from restorekit.models.glsgn.pyramid import scales
from restorekit.objectives import create_objective
from restorekit.rng import rng_for

STEPS = 80

pytestmark = pytest.mark.slow


@cache
def frames() -> dict[str, Tensor]:
    """Four photographs of 256 x 256 with light rain."""
    rain, pairs = get_degradation("rain"), []
    for number, image in enumerate((astronaut(), chelsea(), coffee(), rocket())):
        clean = to_float(cv2.resize(np.ascontiguousarray(image[:300, :300]), (256, 256), interpolation=cv2.INTER_AREA))
        params = rain.sample(rng_for(number, "frames"), (256, 256), 0.5, "light")
        pairs.append((np.clip(rain.apply(Scene(clean), params).degraded, 0, 1), clean))
    stacked = (torch.from_numpy(np.stack(images).transpose(0, 3, 1, 2).copy()) for images in zip(*pairs, strict=True))
    return dict(zip(("degraded", "clean"), stacked, strict=True))


@cache
def trained(design: str) -> tuple[GLSGN, list[dict[str, float]]]:
    """A network after `STEPS` steps on the frames, and its losses."""
    torch.manual_seed(0)
    paths = 1.0 if design == "stepwise" else 0.0
    run = GlsgnRun.model_validate(
        {
            "model": "glsgn", "dataset": "rain", "options": {"width": 8, "zero_last": True, "design": design},
            "objective": {"pixel": "huber", "perceptual": 0.0, "paths": paths},
        }
    )  # fmt: skip
    model, objective, history = create_model("glsgn", **run.options.model_dump()), create_objective(run), []
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    for _ in range(STEPS):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            losses = objective(model, frames()).losses
        history.append({name: loss.item() for name, loss in losses.items()})
        optimizer.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        optimizer.step()
        schedule.step()
    assert isinstance(model, GLSGN)
    return model.eval(), history


def psnr(image: Tensor, clean: Tensor) -> float:
    return float(-10 * (image.clamp(0, 1) - clean).square().mean((1, 2, 3)).log10().mean())


def gain(design: str) -> float:
    data = frames()
    return psnr(trained(design)[0].restore(data["degraded"]), data["clean"]) - psnr(data["degraded"], data["clean"])


def test_every_loss_falls():
    history = trained("stepwise")[1]
    assert all(history[-1][name] < 0.6 * first for name, first in history[0].items())


def test_every_path_beats_its_input():
    data = frames()
    with torch.no_grad():
        found = trained("stepwise")[0](data["degraded"])
    given, wanted = scales(data["degraded"]), scales(data["clean"])
    for image, scale in [*((found.paths[k], k) for k in range(3)), (found.reduced, 2)]:
        assert psnr(image, wanted[scale]) > psnr(given[scale], wanted[scale]) + 0.5
    assert gain("stepwise") > 4


@pytest.mark.parametrize("design", ["tiles", "reduced", "reduced_detail", "whole"])
def test_four_paths_are_ahead_of_one_at_equal_training(design):
    assert gain("stepwise") > gain(design) + 0.5
