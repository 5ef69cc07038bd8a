"""MADF's objective against sums in double precision: loss terms, supervision, and the parameters that learn."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from restorekit.config.madf import MadfOptions, MadfRun
from restorekit.losses.features import PooledFeatures, gram
from restorekit.losses.pixel import total_variation
from restorekit.models.madf import MADF, MadfResult
from restorekit.models.trunks import create_trunk
from restorekit.objectives.madf import MadfLosses

MEAN = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1).double()
STD = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1).double()


class Fixed(nn.Module):
    """A network that returns given outputs and records the arguments."""

    def __init__(self, outputs: list[Tensor]) -> None:
        super().__init__()
        self.outputs = outputs

    def forward(self, image: Tensor, mask: Tensor) -> MadfResult:
        self.image, self.mask = image, mask
        return MadfResult(tuple(self.outputs))


def batch(soft: bool = False) -> dict[str, Tensor]:
    mask = torch.rand(2, 1, 32, 40)
    mask = mask if soft else (mask > 0.6).float()
    clean = torch.rand(2, 3, 32, 40)
    return {"clean": clean, "degraded": torch.where(mask > 0, 0.5, clean), "mask": mask}


def losses(weights: dict[str, Any], refinements: int = 2) -> MadfLosses:
    run = {"model": "madf", "dataset": "inpainting", "options": {"refinements": refinements}, "objective": weights}
    return MadfLosses(MadfRun.model_validate(run))


def outputs(count: int) -> list[Tensor]:
    return [torch.randn(2, 3, 32, 40, requires_grad=True) for _ in range(count)]


# ---- each term, written out


def phi(trunk: nn.Module, image: Tensor) -> list[Tensor]:
    """The first three poolings of the shift-tolerant VGG-16, in double precision."""
    levels, x = [], image
    weights = {key: value.double() for key, value in trunk.state_dict().items()}
    keys = iter(sorted({int(key.split(".")[1]) for key in weights if key.endswith("weight")}))
    row = torch.tensor([0.25, 0.5, 0.25], dtype=torch.float64)
    for repeats in (2, 2, 3):
        for _ in range(repeats):
            key = next(keys)
            x = F.relu(F.conv2d(x, weights[f"features.{key}.weight"], weights[f"features.{key}.bias"], padding=1))
        x = F.max_pool2d(x, 2, stride=1)
        channels = x.shape[1]
        kernel = (row[:, None] * row).expand(channels, 1, 3, 3)
        x = F.conv2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), kernel, stride=2, groups=channels)
        levels.append(x)
    return levels


def expected(data: dict[str, Tensor], out: list[Tensor], trunk: nn.Module, styled: int) -> dict[str, Tensor]:
    clean, missing = (data["clean"].double() - MEAN) / STD, data["mask"].double()
    double = [image.detach().double() for image in out]
    comp = [(1 - missing) * clean + missing * image for image in double]
    total = clean.numel()
    result = {
        "hole": 6 * sum((missing * (image - clean)).abs().sum() / total for image in double),
        "valid": sum(((1 - missing) * (image - clean)).abs().sum() / total for image in double),
    }
    wanted, contents, styles = phi(trunk, clean), [], []
    for index, (image, composite) in enumerate(zip(double, comp, strict=True)):
        for found in (phi(trunk, image), phi(trunk, composite)):
            if index > 0:
                contents += [(one - two).abs().mean() for one, two in zip(found, wanted, strict=True)]
            if index == styled:
                for one, two in zip(found, wanted, strict=True):
                    _, c, h, w = one.shape
                    grams = [torch.einsum("bchw,bdhw->bcd", level, level) / (c * h * w) for level in (one, two)]
                    styles.append((grams[0] - grams[1]).abs().mean())
    result["perceptual"], result["style"] = 0.05 * sum(contents), 120 * sum(styles)
    last = comp[-1]
    across, down = (last[..., 1:] - last[..., :-1]).abs().mean(), (last[..., 1:, :] - last[..., :-1, :]).abs().mean()
    result["tv"] = 0.1 * (across + down)
    return result


@pytest.mark.parametrize("style_on, styled", [("last", 2), ("out_1", 1)])
@pytest.mark.parametrize("soft", [False, True])
def test_terms_equal_the_written_out_sums(style_on: str, styled: int, soft: bool) -> None:
    objective, data, out = losses({"style_on": style_on}), batch(soft), outputs(3)
    assert objective.features is not None
    found = objective(Fixed(out), data).losses
    wanted = expected(data, out, objective.features.trunk, styled)
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        torch.testing.assert_close(found[name].double(), value, rtol=2e-4, atol=1e-7)


def test_the_hole_term_is_area_times_error() -> None:
    data = batch()
    data["mask"].zero_()
    data["mask"][..., :8, :10] = 1  # a sixteenth
    clean = (data["clean"].double() - MEAN) / STD
    off = (clean + 0.25).float()
    found = losses({"perceptual": 0, "style": 0}, 0)(Fixed([off]), data).losses
    assert found["hole"].item() == pytest.approx(6 * 0.25 / 16, rel=1e-4)
    assert found["valid"].item() == pytest.approx(0.25 * 15 / 16, rel=1e-4)


def test_gram_and_variation() -> None:
    features = torch.randn(2, 3, 4, 5, dtype=torch.float64).float()
    torch.testing.assert_close(gram(features), torch.einsum("bchw,bdhw->bcd", features, features) / 60)
    ramp = torch.arange(6.0).view(1, 1, 2, 3)
    assert total_variation(ramp).item() == pytest.approx(1 + 3)
    assert total_variation(torch.ones(1, 3, 4, 4)) == 0


# ---- the outputs that each term compares


@pytest.mark.parametrize("refinements, incremental, pixels, contents, styled", [
    (2, True, (0, 1, 2), (1, 2), (2,)),
    (1, True, (0, 1), (1,), (1,)),
    (0, True, (0,), (0,), (0,)),
    (2, False, (2,), (2,), (2,)),
    (1, False, (1,), (1,), (1,)),
    (0, False, (0,), (0,), (0,)),
])  # fmt: skip
def test_each_term_compares_the_supervised_outputs(
    refinements: int, incremental: bool, pixels: tuple[int, ...], contents: tuple[int, ...], styled: tuple[int, ...]
) -> None:
    for term, answering in {
        "hole": pixels,
        "valid": pixels,
        "perceptual": contents,
        "style": styled,
        "tv": (-1,),
    }.items():
        weights = {"perceptual": 0, "style": 0} | ({term: 1.0} if term in ("perceptual", "style") else {})
        out = outputs(refinements + 1)
        objective = losses({**weights, "incremental": incremental}, refinements)
        objective(Fixed(out), batch()).losses[term].backward()
        reached = {index for index, image in enumerate(out) if image.grad is not None and image.grad.any()}
        assert reached == {index % (refinements + 1) for index in answering}


def test_style_on_out_1_changes_only_the_style() -> None:
    data, out = batch(), outputs(3)
    usual, quirky = (losses({"style_on": which})(Fixed(out), data).losses for which in ("last", "out_1"))
    assert {name for name in usual if not torch.equal(usual[name], quirky[name])} == {"style"}


def test_terms_of_weight_zero_are_left_out() -> None:
    objective = losses({"perceptual": 0, "style": 0})
    assert objective.features is None
    assert list(objective(Fixed(outputs(3)), batch()).losses) == ["hole", "valid", "tv"]


# ---- the network's input, and the parameters that learn


def test_the_network_gets_the_papers_mask_and_colours() -> None:
    data, model = batch(), Fixed(outputs(3))
    terms = losses({"perceptual": 0, "style": 0})(model, data)
    assert torch.equal(model.mask, 1 - data["mask"])
    torch.testing.assert_close(model.image.double(), (data["degraded"].double() - MEAN) / STD, rtol=1e-5, atol=1e-5)
    known = data["mask"].expand_as(data["clean"]) == 0
    torch.testing.assert_close(terms.restored[known], data["clean"][known], rtol=0, atol=1e-6)
    assert not terms.restored.requires_grad
    assert 0 <= terms.restored.min() <= terms.restored.max() <= 1


def test_every_parameter_but_the_trunks_gets_a_gradient() -> None:
    torch.manual_seed(0)
    model, objective = MADF(MadfOptions(width=4)), losses({})
    data = {
        "clean": torch.rand(2, 3, 128, 128),
        "mask": (torch.rand(2, 1, 16, 16) > 0.5).float().repeat_interleave(8, 2).repeat_interleave(8, 3),
    }
    data["degraded"] = torch.where(data["mask"] > 0, 0.5, data["clean"])
    torch.stack(list(objective(model, data).losses.values())).sum().backward()
    assert all(value.grad is None and not value.requires_grad for value in objective.parameters())
    lazy = [name for name, value in model.named_parameters() if value.grad is None or not value.grad.any()]
    assert lazy == []


def test_a_users_file_provides_the_trunk(tmp_path: Any) -> None:
    trunk = create_trunk("vgg16")
    torch.save(trunk.state_dict(), tmp_path / "vgg16.pth")
    objective = losses({"trunk": "vgg16", "trunk_weights": str(tmp_path / "vgg16.pth")})
    assert objective.features is not None
    assert all(
        torch.equal(a, b) for a, b in zip(objective.features.trunk.parameters(), trunk.parameters(), strict=True)
    )
    levels = PooledFeatures(trunk)(torch.randn(1, 3, 32, 48))
    assert [tuple(level.shape) for level in levels] == [(1, 64, 16, 24), (1, 128, 8, 12), (1, 256, 4, 6)]
    x = torch.randn(1, 3, 32, 48)
    literal = F.relu(trunk.features[2](F.relu(trunk.features[0](x))))
    torch.testing.assert_close(PooledFeatures(trunk)(x)[0], F.max_pool2d(literal, 2))


@pytest.mark.slow
def test_a_small_network_learns_four_images() -> None:
    """madf.md 13.14, at a width of 16 and with images of 128 pixels."""
    torch.manual_seed(3)
    coarse = torch.rand(4, 3, 8, 8)
    clean = F.interpolate(coarse, size=(128, 128), mode="bicubic").clamp(0, 1)
    mask = (torch.rand(4, 1, 8, 8) > 0.7).float().repeat_interleave(16, 2).repeat_interleave(16, 3)
    data = {"clean": clean, "mask": mask, "degraded": torch.where(mask > 0, 0.5, clean)}
    model, objective = MADF(MadfOptions(width=16, init="he")), losses({"perceptual": 0, "style": 0})
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    values = []
    for _ in range(200):
        terms = objective(model, data)
        loss = torch.stack(list(terms.losses.values())).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        values.append(loss.item())
    assert sum(values[-5:]) / 5 < 0.6 * values[0]
    wanted = (clean - MEAN.float()) / STD.float()
    errors = [(mask * (image - wanted)).square().mean().item() for image in terms.outputs]
    assert errors[-1] <= 1.02 * errors[0]
