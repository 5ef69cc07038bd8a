"""DMGN's properties: counts, sizes, gates, independence in a batch, variants, gradients, precision and memory."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from restorekit.config.dmgn import DmgnOptions
from restorekit.errors import RestorekitError
from restorekit.models import create_model
from restorekit.models.dmgn import DMGN
from restorekit.models.dmgn.phases import NoiseMap, SignedAttention

VARIANTS = ("reflection", "rain", "haze")


def dmgn(variant: Any, width: int, trunk: Any = "none", **options: Any) -> DMGN:
    return DMGN(DmgnOptions(variant=variant, width=width, trunk=trunk, **options))


def trainable(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)


# ---- counts (dmgn.md 6)


@pytest.mark.parametrize("variant, expected", [("reflection", 25_440_488), ("rain", 25_325_608), ("haze", 25_325_608)])
def test_parameter_counts(variant: str, expected: int) -> None:
    with torch.device("meta"):
        model: Any = DMGN(DmgnOptions(variant=variant))  # type: ignore[arg-type]
    assert trainable(model) == expected
    blocks = {
        "head": 886_592,
        "separator": 78_081,
        "background_branch": 11_888_015,
        "noise_branch": 11_888_015,
        "attention": 2_176,
        "refiner": 582_729,
    }
    assert {name: trainable(getattr(model, name)) for name in blocks} == blocks
    assert sum(parameter.numel() for parameter in model.head.trunk.parameters()) == 12_944_960
    assert trainable(model.head.trunk) == 0
    if variant == "reflection":
        assert trainable(model.noise_map) == 114_880
    else:
        assert model.noise_map is None


@pytest.mark.parametrize("variant, expected", [("reflection", 466.877e9), ("rain", 459.357e9)])
def test_multiplications(variant: str, expected: float) -> None:
    with FakeTensorMode(), torch.no_grad():  # shapes only
        model, image = DMGN(DmgnOptions(variant=variant)), torch.empty(1, 3, 256, 256)  # type: ignore[arg-type]
        with FlopCounterMode(display=False) as counter:
            model(image)
    assert counter.get_total_flops() / 2 == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("width", [1, 8, 16, 64])
def test_width_scales_every_count(width: int) -> None:
    model = dmgn("reflection", width)
    cells = model.background_branch.cells
    found = [cell.get_submodule("first").in_channels for cell in cells]
    assert found == [width, 2 * width, *[4 * width] * 8, 2 * width, width]
    assert model.refiner.first.in_channels == 3 * width
    assert model.attention.reduce.out_features == max(1, width // 16)


# ---- sizes


@pytest.mark.parametrize("size", [(17, 17), (18, 33), (33, 47), (37, 64)])
@pytest.mark.parametrize("trunk", ["none", "vgg19", "vgg16_shift_tolerant"])
def test_output_has_the_size_of_the_input(size: tuple[int, int], trunk: str) -> None:
    model = dmgn("reflection", 4, trunk)
    with torch.no_grad():
        result = model(torch.rand(1, 3, *size) * 2 - 1)
    assert {tuple(image.shape) for image in result[:3]} == {(1, 3, *size)}
    assert result.separator_mask.shape == result.noise_distribution.shape == (1, 1, *size)


def test_gates_have_the_scales_of_their_cells() -> None:
    with torch.no_grad():
        gates = dmgn("reflection", 4)(torch.zeros(1, 3, 64, 48)).gates
    halves = [0, 1, 2, 2, 2, 2, 1, 0, 0, 0, 0, 0, 0, 0]
    assert [tuple(gate.shape) for gate in gates] == [(1, 1, 64 >> half, 48 >> half) for half in halves]
    assert not any(gate.requires_grad for gate in dmgn("rain", 4)(torch.zeros(1, 3, 17, 17)).gates)


@pytest.mark.parametrize("size", [(16, 64), (64, 16), (1, 1)])
def test_an_image_below_the_minimum_size_is_refused(size: tuple[int, int]) -> None:
    model = dmgn("rain", 4)
    assert model.descriptor.min_size == 17
    for call in (model, model.restore):
        with pytest.raises(RestorekitError, match=f"{size[1]}x{size[0]} pixels .* 17"):
            call(torch.zeros(1, 3, *size))


# ---- gates and the Noise Distribution Map


def test_the_separator_splits_features_into_two_shares() -> None:
    separator = dmgn("rain", 6).separator
    shared, mask = separator(torch.randn(2, 6, 20, 23))
    assert shared.min() >= 0
    assert 0 < mask.min() < mask.max() < 1
    torch.testing.assert_close(mask * shared + (1 - mask) * shared, shared)


def test_gates_lie_strictly_between_0_and_1() -> None:
    with torch.no_grad():
        gates = dmgn("rain", 6)(torch.rand(2, 3, 24, 31) * 2 - 1).gates
    assert all(0 < gate.min() <= gate.max() < 1 for gate in gates)


def test_the_noise_map_bounds_the_steered_gates() -> None:
    with torch.no_grad():
        result = dmgn("reflection", 6)(torch.rand(3, 3, 24, 31) * 2 - 1)
    k = result.noise_distribution
    assert k.amin((1, 2, 3)).abs().max() < 1e-6
    assert (k.mean((1, 2, 3)) - 1).abs().max() < 1e-3
    assert all(0 < gate.min() <= gate.max() < 1 for gate in result.gates[:8])
    for cell, gate in enumerate(result.gates[8:]):
        amount = 0.4 * 0.5**cell
        assert gate.min() >= 0
        assert gate.max() <= (1 + amount * k.max()) / (1 + amount)


@pytest.mark.parametrize("level", [0.0, 0.3, 0.5, 1.0])
def test_constant_noise_gives_a_flat_map(level: float) -> None:
    assert torch.equal(NoiseMap(4).normalize(torch.full((2, 1, 5, 7), level)), torch.ones(2, 1, 5, 7))
    assert NoiseMap(4, batch_stats=True).normalize(torch.full((2, 1, 5, 7), 0.5)).isnan().all()


def test_attention_is_odd_in_its_sign() -> None:
    attention, features = SignedAttention(16), torch.randn(2, 16, 19, 22)
    assert torch.equal(attention(features, -1.0), -attention(features, 1.0))
    ratio = attention(features, 1.0) / features
    assert 0 < ratio.min() <= ratio.max() < 1
    torch.testing.assert_close(ratio, ratio[:, :, :1, :1].expand_as(ratio))


# ---- batches and variants


@pytest.mark.parametrize("variant, tolerance", [("reflection", 1e-4), ("rain", 1e-5), ("haze", 1e-5)])
def test_an_image_does_not_depend_on_the_batch(variant: str, tolerance: float) -> None:
    model, images = dmgn(variant, 8), torch.rand(3, 3, 21, 26) * 2 - 1  # type: ignore[arg-type]
    with torch.no_grad():
        torch.testing.assert_close(model(images).background[1:2], model(images[1:2]).background, rtol=0, atol=tolerance)


def test_the_noise_map_with_batch_statistics_depends_on_the_batch() -> None:
    model = dmgn("reflection", 8, ndm_batch_stats=True)
    images = torch.rand(3, 3, 21, 26) * torch.tensor([0.1, 1.0, 2.0]).view(3, 1, 1, 1) - 1
    with torch.no_grad():
        together, alone = model(images).noise_distribution, model(images[1:2]).noise_distribution
    assert (together[1:2] - alone).abs().max() > 1e-3
    assert together.mean() == pytest.approx(1, abs=1e-3)


def test_variants_with_equal_weights_differ_by_the_input() -> None:
    reflection, rain = (
        dmgn("reflection", 8),
        dmgn("rain", 8),
    )
    own = rain.state_dict()
    rain.load_state_dict({key: value for key, value in reflection.state_dict().items() if key in own})
    image = torch.rand(2, 3, 22, 25) * 2 - 1
    with torch.no_grad():
        one, other = reflection(image), rain(image)
    torch.testing.assert_close(one.noise - image, other.noise, rtol=0, atol=1e-5)
    torch.testing.assert_close(one.coarse - image, other.coarse, rtol=0, atol=1e-5)


def test_the_noise_map_is_an_option_of_every_variant() -> None:
    steered, plain = dmgn("rain", 4, use_ndm=True), dmgn("reflection", 4, use_ndm=False)
    assert steered.noise_map is not None
    with torch.no_grad():
        assert steered(torch.zeros(1, 3, 17, 17)).noise_distribution is not None
        assert plain(torch.zeros(1, 3, 17, 17)).noise_distribution is None


def test_only_reflection_ends_in_a_tanh() -> None:
    image = torch.rand(1, 3, 20, 20) * 2 - 1
    for variant, bounded in (("reflection", True), ("rain", False)):
        model = dmgn(variant, 4)
        nn.init.constant_(model.refiner.last.bias, 3.0)
        with torch.no_grad():
            assert bool((model(image).background - image).abs().max() <= 1) is bounded


def test_each_ablation_removes_its_part() -> None:
    image = torch.rand(2, 3, 24, 31) * 2 - 1
    with torch.no_grad():
        coarse = dmgn("reflection", 6, refine=False)(image)
        assert torch.equal(coarse.background, coarse.coarse)
        assert len(coarse.gates) == 8
        free = dmgn("reflection", 6, gated=False)(image)
        assert all(torch.equal(gate, torch.ones_like(gate)) for gate in free.gates)
        for steered in (True, False):
            model = DMGN(
                DmgnOptions(variant="reflection", width=6, trunk="none", use_ndm=steered, noise_features=False)
            )
            assert model.refiner.first.in_channels == 12
            one = model(image)
            for parameter in model.noise_branch.parameters():
                parameter.mul_(1.5)  # the noise image affects the result only through the noise map
            assert torch.equal(model(image).background, one.background) is not steered


@pytest.mark.parametrize("options", [{"refine": False}, {"noise_features": False}, {"gated": False}])
def test_an_ablated_network_trains_and_can_be_rebuilt(options: dict[str, bool]) -> None:
    model = dmgn("reflection", 4, zero_last=True, **options)
    image = torch.rand(1, 3, 24, 24)
    result = model(image * 2 - 1)
    torch.testing.assert_close(model.restore(image), image, rtol=0, atol=1e-6)
    (result.background.square().mean() + result.noise.square().mean()).backward()
    again = create_model("dmgn", **model.options.model_dump())
    again.load_state_dict(model.state_dict())
    assert count_of(again) < count_of(dmgn("reflection", 4))


def count_of(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("variant", VARIANTS)
def test_zero_last_starts_from_the_input(variant: str) -> None:
    model, image = dmgn(variant, 4, zero_last=True), torch.rand(2, 3, 19, 18)
    torch.testing.assert_close(model.restore(image), image, rtol=0, atol=1e-6)
    result = model(image)
    result.background.square().mean().backward()
    assert model.refiner.last.weight.grad.abs().sum() > 0


# ---- gradients and finite values


@pytest.mark.parametrize("trunk", ["none", "vgg19"])
@pytest.mark.parametrize("variant", ["reflection", "rain"])
def test_every_tensor_but_the_trunks_gets_a_gradient(lively: Callable[..., DMGN], variant: str, trunk: str) -> None:
    model = lively(variant=variant, width=16, trunk=trunk)
    model.attention.reduce.weight.data.abs_()  # keeps the only inner channel alive
    result = model(torch.rand(2, 3, 24, 24) * 2 - 1)
    (result.background.square().mean() + result.coarse.square().mean() + result.noise.square().mean()).backward()
    for name, parameter in model.named_parameters():
        if name.startswith("head.trunk."):
            assert parameter.grad is None
        else:
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
            assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("level", [-1.0, 0.0, 1.0])
@pytest.mark.parametrize("variant", VARIANTS)
def test_constant_images_stay_finite(variant: str, level: float) -> None:
    model = dmgn(variant, 8)
    result = model(torch.full((1, 3, 20, 24), level))
    assert all(image.isfinite().all() for image in result[:4])
    result.background.abs().mean().backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters() if parameter.grad is not None)
    saved = model.restore(torch.full((1, 3, 20, 24), (level + 1) / 2))
    assert 0 <= saved.min() <= saved.max() <= 1


# ---- restore, precision, memory


def test_restore_maps_the_range_and_keeps_no_gradient() -> None:
    model, image = dmgn("reflection", 8), torch.rand(1, 3, 20, 33)
    kept = image.clone()
    restored = model.restore(image, torch.ones(1, 1, 20, 33))
    with torch.no_grad():
        expected = ((model(image * 2 - 1).background + 1) / 2).clamp(0, 1)
    torch.testing.assert_close(restored, expected)
    assert not restored.requires_grad
    assert torch.equal(image, kept)
    assert restored.dtype == torch.float32


@pytest.mark.parametrize("variant, trunk", [("reflection", "none"), ("rain", "none"), ("rain", "vgg19")])
def test_bfloat16_is_close(lively: Callable[..., DMGN], variant: str, trunk: str) -> None:
    model, image = lively(variant=variant, width=8, trunk=trunk), torch.rand(2, 3, 33, 40) * 2 - 1
    with torch.no_grad():
        exact = model(image)
        with torch.autocast("cpu", torch.bfloat16):
            rounded = model(image)
    for one, other in zip(rounded[:4], exact[:4], strict=True):
        assert one.isfinite().all()
        assert (one.float() - other).abs().max() < 0.03
    assert rounded.background.dtype == torch.float32
    if rounded.noise_distribution is not None:
        assert rounded.noise_distribution.dtype == torch.float32


def test_the_noise_map_is_computed_in_float32() -> None:
    noise_map, features = NoiseMap(8), torch.randn(2, 2, 8, 16, 16)
    with torch.no_grad():
        exact = noise_map(*features)
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(noise_map(*features), exact)


@pytest.mark.parametrize(
    "variant, width, trunk",
    [
        ("rain", 16, "none"),
        ("reflection", 16, "none"),
        ("rain", 32, "none"),
        ("reflection", 16, "vgg16_shift_tolerant"),
    ],
)
def test_the_descriptor_states_the_peak_memory(
    peak_bytes: Callable[..., int], variant: str, width: int, trunk: str
) -> None:
    model: Any = dmgn(variant, width, trunk)
    image = torch.rand(1, 3, 160, 160)
    known = [*model.state_dict().values(), image]
    used = peak_bytes(lambda: model.restore(image), known) / (160 * 160)
    assert 0.7 * model.descriptor.bytes_per_pixel < used <= model.descriptor.bytes_per_pixel


# ---- by name


def test_create_model_builds_the_papers_network() -> None:
    with torch.device("meta"):
        assert trainable(create_model("dmgn")) == 25_440_488


@pytest.mark.parametrize(
    "name, options, message",
    [
        ("dmng", {}, "unknown model 'dmng': did you mean 'dmgn'"),
        ("dmgn", {"widht": 8}, "unknown option of dmgn 'widht': did you mean 'width'"),
        ("dmgn", {"variant": "rian"}, "did you mean 'rain'"),
        ("dmgn", {"trunk": "vgg91"}, "did you mean 'vgg19'"),
        ("dmgn", {"width": 0}, "dmgn's width: .*greater than or equal to 1"),
        ("dmgn", {"width": 8.0}, "valid integer .found 8.0."),
        ("dmgn", {"trunk": "none", "trunk_weights": "a.pth"}, "needs a trunk"),
        ("dmgn", {"variant": "rain", "trunk": "none", "ndm_batch_stats": True}, "use_ndm"),
        ("dmgn", {"trunk": "none", "refine": False, "use_ndm": True}, "without refine"),
        ("dmgn", {"trunk": "none", "gated": False, "use_ndm": True}, "steers gates"),
    ],
)
def test_invalid_options_are_refused(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(RestorekitError, match=message):
        create_model(name, **options)


def test_one_seed_gives_one_network() -> None:
    def first_weights() -> Tensor:
        torch.manual_seed(3)
        return torch.cat(
            [value.flatten() for value in create_model("dmgn", width=4, trunk="none").state_dict().values()]
        )

    assert torch.equal(first_weights(), first_weights())
