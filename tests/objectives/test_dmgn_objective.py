"""DMGN's objective: loss terms, weights, the noise image's target, the flow of gradients, and a short training."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from restorekit.config import DmgnRun, check_params
from restorekit.config.dmgn import DmgnOptions
from restorekit.errors import RestorekitError
from restorekit.losses.pixel import LEVEL
from restorekit.models.dmgn import DMGN
from restorekit.objectives import Terms, create_objective
from restorekit.objectives.dmgn import DmgnLosses

Batch = dict[str, Tensor]


def dmgn(variant: Any, width: int, trunk: Any = "none", **options: Any) -> DMGN:
    return DMGN(DmgnOptions(variant=variant, width=width, trunk=trunk, **options))


def objective(variant: str = "rain", **weights: Any) -> DmgnLosses:
    options = {"variant": variant, "width": 4, "trunk": "none"}
    run = DmgnRun.model_validate({"model": "dmgn", "dataset": variant, "options": options, "objective": weights})
    made = create_objective(run)
    assert isinstance(made, DmgnLosses)
    return made


def batch(size: int = 32, layer: bool = False) -> Batch:
    made = {"degraded": torch.rand(2, 3, size, size), "clean": torch.rand(2, 3, size, size)}
    return {**made, "layer": torch.rand(2, 3, size, size)} if layer else made


class Counted(nn.Module):
    """A wrapper, as for several workers, that counts calls."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module
        self.calls = 0

    def forward(self, *arguments: Tensor) -> Any:
        self.calls += 1
        return self.module(*arguments)


def terms_of(made: DmgnLosses, data: Batch, variant: str = "rain") -> tuple[Terms, Counted]:
    model = Counted(dmgn(variant, 4))
    return made(model, data), model


def test_default_terms_are_the_weighted_distances() -> None:
    data = batch()
    terms, model = terms_of(objective(coarse=0.5, noise=0.25), data)
    assert model.calls == 1
    rain = (data["degraded"] - data["clean"]).clamp(0, 1) * 2 - 1
    clean = data["clean"] * 2 - 1
    expected = {
        "background": 100 * (terms.outputs.background - clean).abs().mean(),
        "coarse": 50 * (terms.outputs.coarse - clean).abs().mean(),
        "noise": 25 * (terms.outputs.noise - rain).abs().mean(),
    }
    assert terms.losses.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(terms.losses[name], value)
    torch.testing.assert_close(terms.restored, ((terms.outputs.background + 1) / 2).clamp(0, 1).detach())
    assert not terms.restored.requires_grad


def test_terms_of_weight_zero_are_left_out() -> None:
    assert terms_of(objective(coarse=0.0, noise=0.0), batch())[0].losses.keys() == {"background"}


def test_every_tensor_of_the_network_gets_a_gradient_from_the_background_alone() -> None:
    terms, model = terms_of(objective(coarse=0.0, noise=0.0), batch())
    terms.losses["background"].backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize("variant", ["rain", "haze"])
def test_the_noise_target_is_the_added_noise(variant: str) -> None:
    data = batch()
    difference = data["degraded"] - data["clean"]
    black = objective(variant).noise_target(data)
    assert black is not None
    torch.testing.assert_close((black + 1) / 2, difference.clamp(0, 1))
    same = {"degraded": data["clean"], "clean": data["clean"]}
    assert (objective(variant).noise_target(same) == -1).all()  # type: ignore[union-attr]


def test_reflection_has_a_noise_target_only_with_a_layer() -> None:
    data = batch(layer=True)
    torch.testing.assert_close(objective("reflection").noise_target(data), data["layer"] * 2 - 1)
    assert objective("reflection").noise_target(batch()) is None
    assert "noise" in terms_of(objective("reflection"), data, "reflection")[0].losses
    assert "noise" not in terms_of(objective("reflection"), batch(), "reflection")[0].losses


def test_perceptual_term_adds_the_three_distances() -> None:
    made, data = objective(perceptual=0.2, noise=0.5), batch()
    terms, model = terms_of(made, data)
    assert made.perceptual is not None
    clean, noise = data["clean"] * 2 - 1, made.noise_target(data)
    assert noise is not None
    out = terms.outputs
    distance = made.perceptual(out.background, clean) + made.perceptual(out.coarse, clean)
    distance = distance + 0.5 * made.perceptual(out.noise, noise)
    torch.testing.assert_close(terms.losses["perceptual"], 100 * 0.2 * distance)
    terms.losses["perceptual"].backward()
    assert all(parameter.grad is None for parameter in made.parameters())
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_critic_and_model_get_gradients_only_from_their_own_losses() -> None:
    made, data = objective(adversarial=1.0), batch()
    critic = Counted(made.critic)  # type: ignore[arg-type]
    model = dmgn("rain", 4)
    terms = made(model, data)
    terms.losses["adversarial"].backward()
    assert all(parameter.grad is None for parameter in critic.parameters())
    assert any(parameter.grad.abs().sum() > 0 for parameter in model.parameters())  # type: ignore[union-attr]
    model.zero_grad(set_to_none=True)
    losses = made.critic_losses(critic, data, terms.outputs)
    assert critic.calls == 1
    sum(losses.values()).backward()  # type: ignore[union-attr]
    assert all(parameter.grad is not None for parameter in critic.parameters())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_without_the_adversarial_weight_there_is_no_critic() -> None:
    assert objective().critic is None
    assert list(objective().parameters()) == []


def test_bfloat16_losses_are_float32() -> None:
    made, data, model = objective(adversarial=1.0), batch(), dmgn("rain", 4)
    with torch.autocast("cpu", torch.bfloat16):
        terms = made(model, data)
        critic = made.critic_losses(made.critic, data, terms.outputs)  # type: ignore[arg-type]
    values = [*terms.losses.values(), *critic.values(), terms.restored]
    assert all(value.dtype == torch.float32 and value.isfinite().all() for value in values)


@pytest.mark.parametrize(
    "section, values, message",
    [
        ("objective", {"coarse": -1.0}, "greater than or equal to 0"),
        ("objective", {"perceptual_weights": "a.pth"}, "need perceptual above 0"),
        ("objective", {"perceptual": 0.2, "perceptual_trunk": "vgg19"}, "needs perceptual_weights"),
        ("objective", {"nois": 1.0}, "did you mean 'noise'"),
        ("options", {"trunk": "none", "trunk_weights": "a.pth"}, "needs a trunk"),
        ("options", {"ndm_batch_stats": True}, "use_ndm: true"),
        ("options", {"zero_last": "yes"}, "valid boolean"),
        ("options", {"width": 16.0}, "valid integer"),
    ],
)
def test_invalid_settings_are_refused(section: str, values: dict[str, Any], message: str) -> None:
    shards = {"variants": 1, "shards": 1}
    data = {"task": "rain", "short_side": 64, "severity": [0, 1], "val": shards, "test": shards}
    run = {
        "model": "dmgn",
        "dataset": "rain",
        "options": {"variant": "rain"} | (values if section == "options" else {}),
    }
    params = {
        "seed": 1, "photos": {}, "synthesize": {}, "evaluate": {}, "promote": {},
        "train": {"steps": 1, "batch_size": 1, "crop": 32, "lr": 0.1},
        "datasets": {"rain": data | {"train": shards | {"tiles": 1, "tile": 32}}},
        "runs": {"dmgn-rain": run | ({"objective": values} if section == "objective" else {})},
    }  # fmt: skip
    with pytest.raises(RestorekitError, match=message):
        check_params(params)


def test_psnr_is_measured_on_the_scale_of_0_to_1() -> None:
    images = torch.rand(1, 3, 8, 8)
    found = objective(pixel="psnr").distance(2 * (images + 0.1) - 1, 2 * images - 1)
    assert found.item() == pytest.approx(math.log(0.01 + LEVEL), rel=1e-3)


@pytest.mark.parametrize("variant", ["reflection", "rain"])
def test_the_objective_overfits_one_pair(variant: str) -> None:
    """dmgn.md 15.13 asks for 5 dB over the input within 1000 steps; this narrow network takes at most 200."""
    rows, columns = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    clean = torch.stack([(torch.sin(rows / 9) + 1) / 3, (torch.cos(columns / 7) + 1) / 3, (rows + columns) / 200])[None]
    layer = ((rows * 2 + columns) % 16 < 4).float().expand(1, 3, 64, 64) * 0.4
    data = {"degraded": (clean + layer).clamp(0, 1), "clean": clean, "layer": layer}
    torch.manual_seed(0)
    made, model = (
        objective(variant, pixel="huber"),
        dmgn(variant, 6, init="he", zero_last=True),
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(200):
        terms = made(model, data)
        optimizer.zero_grad()
        torch.stack(list(terms.losses.values())).sum().backward()
        nn.utils.clip_grad_norm_(model.parameters(), 50.0)
        optimizer.step()

    def psnr(image: Tensor) -> float:
        return float(-10 * torch.log10((image - clean).square().mean()))

    assert psnr(terms.restored) > psnr(data["degraded"]) + 5
