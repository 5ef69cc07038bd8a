"""GLSGN's objective: loss terms, weights and scales, figures, and a short training."""

from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from restorekit.config import GlsgnRun, TrainConfig
from restorekit.losses.pixel import LEVEL
from restorekit.models import create_model
from restorekit.models.glsgn import GLSGN
from restorekit.models.glsgn.pyramid import scales
from restorekit.objectives import Terms, create_objective, glsgn
from restorekit.objectives.glsgn import FUSED, PERCEPTUAL_CROP, GlsgnLosses


def spec(options: dict[str, Any] | None = None, **weights: Any) -> GlsgnRun:
    settings = {"perceptual": 0.0, **weights}
    values = {"model": "glsgn", "dataset": "rain", "options": {"width": 4, **(options or {})}, "objective": settings}
    return GlsgnRun.model_validate(values)


def objective(run: GlsgnRun) -> GlsgnLosses:
    made = create_objective(run)
    assert isinstance(made, GlsgnLosses)
    return made


def network(run: GlsgnRun) -> GLSGN:
    torch.manual_seed(0)
    model = create_model("glsgn", **run.options.model_dump())
    assert isinstance(model, GLSGN)
    return model


def batch(size: int = 64) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(2)
    return {name: torch.rand(2, 3, size, size, generator=generator) for name in ("degraded", "clean")}


class Counted(nn.Module):
    """A wrapper, as for several workers, that counts calls."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module
        self.calls = 0

    def forward(self, *arguments: Tensor) -> Any:
        self.calls += 1
        return self.module(*arguments)


def terms_of(run: GlsgnRun, data: dict[str, Tensor]) -> tuple[Terms, Counted]:
    model = Counted(network(run))
    return objective(run)(model, data), model


def test_default_weights_match_section_7():
    weights = GlsgnRun.model_validate({"model": "glsgn", "dataset": "rain"}).objective
    assert (weights.pixel, weights.paths, FUSED, weights.perceptual, PERCEPTUAL_CROP) == ("l1", 1.0, 2.0, 0.1, 512)


def test_every_image_is_compared_at_its_own_scale():
    data = batch()
    terms, model = terms_of(spec(paths=0.5), data)
    assert model.calls == 1
    wanted = scales(data["clean"])
    found = {name: (found, wanted[scale]) for scale, (name, found) in enumerate(zip(
        ("path1", "path2", "path3"), terms.outputs.paths, strict=True
    ))}  # fmt: skip
    found["global"] = (terms.outputs.reduced, wanted[2])
    assert set(terms.losses) == {"fused", *found}
    assert torch.allclose(terms.losses["fused"], 2 * (terms.outputs.restored - data["clean"]).abs().mean())
    for name, (one, other) in found.items():
        assert torch.allclose(terms.losses[name], 0.5 * (one - other).abs().mean())
    assert terms.restored.min() >= 0
    assert terms.restored.max() <= 1
    assert not terms.restored.requires_grad


def test_huber_is_l1_for_large_errors_and_square_for_small_ones():
    made = objective(spec(pixel="huber"))
    assert made.distance(torch.tensor([1.0]), torch.tensor([0.0])).item() == pytest.approx(1 - 0.05)
    assert made.distance(torch.tensor([0.02]), torch.tensor([0.0])).item() == pytest.approx(0.02**2 / 0.2)


def test_psnr_is_the_mean_of_the_images_log_errors():
    images = torch.rand(2, 3, 8, 8)
    errors = torch.tensor([0.01, 0.1])[:, None, None, None]
    found = objective(spec(pixel="psnr")).distance(images + errors, images)
    assert found.item() == pytest.approx(np.log([1e-4 + LEVEL, 1e-2 + LEVEL]).mean(), rel=1e-3)


def test_designs_without_paths_have_only_the_fused_term():
    for design in ("tiles", "whole", "reduced", "reduced_detail"):
        terms, _ = terms_of(spec({"design": design}, paths=0.0), batch())
        assert set(terms.losses) == {"fused"}
    terms, _ = terms_of(spec({"global_path": False}), batch())
    assert set(terms.losses) == {"fused", "path1", "path2", "path3"}


def test_the_perceptual_term_compares_one_random_square(monkeypatch):
    monkeypatch.setattr(glsgn, "PERCEPTUAL_CROP", 32)
    run = spec(perceptual=0.1)
    made, model = objective(run), network(run)
    seen: list[tuple[Tensor, Tensor]] = []
    assert made.perceptual is not None
    made.perceptual.register_forward_pre_hook(lambda module, given: seen.append(given))
    data = batch()
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        terms = made(model, data)
        assert terms.losses["perceptual"] > 0
    assert seen[0][0].shape == (2, 3, 32, 32)
    assert torch.equal(seen[0][1], seen[1][1])
    assert not torch.equal(seen[0][1], seen[2][1])
    terms.losses["perceptual"].backward()
    assert all(parameter.grad is None for parameter in made.perceptual.parameters())
    assert model.local[0].last.weight.grad is not None


def test_figures_are_the_psnr_of_each_path():
    run = spec({"zero_last": True})
    made, model, data = objective(run), network(run).eval(), {k: v[:1] for k, v in batch().items()}
    with torch.inference_mode():
        figures = made.figures(model, data)
    assert tuple(figures) == made.figure_names == ("path1", "path2", "path3", "global")
    given, wanted = scales(data["degraded"]), scales(data["clean"])
    for name, scale in (("path1", 0), ("path2", 1), ("path3", 2), ("global", 2)):
        error = (given[scale] - wanted[scale]).square().mean().item()
        assert 10 ** (-figures[name] / 10) == pytest.approx(error, rel=1e-4)
    alone = spec({"design": "tiles"}, paths=0.0)
    assert objective(alone).figure_names == ()
    assert objective(alone).figures(network(alone), data) == {}


def test_a_few_steps_lower_every_term():
    run = spec({"zero_last": True})
    made, model = objective(run), network(run)
    clean = nn.functional.interpolate(batch(8)["clean"][:1], size=(64, 64), mode="bilinear")
    data = {"clean": clean, "degraded": clean * 0.5 + 0.4}
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    history = []
    for _ in range(25):
        losses = made(model, data).losses
        history.append({name: loss.item() for name, loss in losses.items()})
        optimizer.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        optimizer.step()
    assert all(history[-1][name] < 0.7 * history[0][name] for name in history[0])


@pytest.mark.parametrize(
    "weights, message",
    [
        ({"perceptual_weights": "a.pth"}, "needs perceptual above 0"),
        ({"perceptual": 0.1, "perceptual_trunk": "vgg19"}, "needs perceptual_weights"),
        ({"paths": -1.0}, "greater than or equal to 0"),
    ],
)
def test_invalid_weights_are_refused(weights, message):
    with pytest.raises(ValidationError, match=message):
        spec(**weights)


def test_problems_of_a_run_are_reported():
    training = TrainConfig(steps=100, batch_size=4, crop=128, lr=1e-3)

    def named(run: GlsgnRun, task: str = "rain", **changes: Any) -> list[str]:
        config = training.model_copy(update=changes)
        return [problem for problem, found in run.problems("rain", task, config).items() if found]

    assert named(spec()) == []
    assert "the task of 'rain' is 'inpainting'" in named(spec(), "inpainting")[0]
    assert "raise train.crop" in named(spec(), crop=48)[0]
    assert "take paths: 0" in named(spec({"design": "tiles"}))[0]
    assert named(spec({"overlap": 8})) == []


@pytest.mark.parametrize(
    "options, message",
    [
        (
            {"design": "tiles", "overlap": 8, "patch_norm": "none"},
            "patch_norm, overlap changes nothing",
        ),
        ({"patch_norm": "instance", "overlap": 8}, "needs regions"),
    ],
)
def test_conflicting_options_are_refused(options, message):
    with pytest.raises(ValidationError, match=message):
        spec(options)
