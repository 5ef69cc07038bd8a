"""MADF's properties: counts, sizes, masks, pixels in holes, point-wise norms, gradients, precision and memory."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from restorekit.config.madf import MadfOptions
from restorekit.errors import RestorekitError
from restorekit.models import create_model
from restorekit.models.madf import MADF
from restorekit.models.madf.decoders import PointwiseNorm


def holes(*size: int, seed: int = 0) -> Tensor:
    """Random blocks of holes (B, 1, H, W), 1 = valid."""
    generator = torch.Generator().manual_seed(seed)
    coarse = (torch.rand(size[0], 1, size[1] // 8, size[2] // 8, generator=generator) > 0.4).float()
    return F.interpolate(coarse, scale_factor=8, mode="nearest")


# ---- counts (madf.md 5)


@pytest.mark.parametrize("refinements, expected", [(2, 85_139_966), (1, 62_942_135 - 1_248), (0, 40_743_065 - 1_248)])
def test_parameter_counts(refinements: int, expected: int) -> None:
    with torch.device("meta"):
        model = MADF(MadfOptions(refinements=refinements))
        with_norms = MADF(MadfOptions(refinements=refinements, encoder_bn=True))
    assert sum(value.numel() for value in model.parameters()) == expected
    assert sum(value.numel() for value in with_norms.parameters()) == expected + 1_248
    parts = {
        "encoder": 9_404_928,
        "bottom": 512 * 128 + 512,
        "recovery": 286_144 - 512 * 129 + 15_344_451 - 3 * (64 * 16 + 1) + 15_706_294 - (81 * 3 + 3),
        "last_recovery": 3 * (64 * 16 + 1) + 81 * 3 + 3,
    }
    assert {name: sum(v.numel() for v in model.get_submodule(name).parameters()) for name in parts} == parts


@pytest.mark.parametrize("side, expected", [(256, 28.261e9), (512, 113.043e9)])
def test_multiplications(side: int, expected: float) -> None:
    with FakeTensorMode(), torch.no_grad():  # shapes only
        model = MADF(MadfOptions())
        with FlopCounterMode(display=False) as counter:
            model(torch.empty(1, 3, side, side), torch.empty(1, 3, side, side))
    assert counter.get_total_flops() / 2 == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("width", [4, 16, 64])
def test_width_scales_every_count(width: int) -> None:
    with torch.device("meta"):
        model: Any = MADF(MadfOptions(width=width))
    assert model.encoder.channels == tuple(width // 4 * growth for growth in (1, 2, 4, 8, 8, 8, 8))
    assert [step.up.out_channels // width for step in model.recovery] == [8, 8, 8, 4, 2, 1]
    assert [step.norm.shared.out_channels for step in model.refinement[1]] == [2 * width] * 6
    assert [level.mask_conv.out_channels for level in model.encoder.levels] == [max(4, width // 4)] * 7


# ---- sizes


@pytest.mark.parametrize("size", [(128, 128), (128, 256), (256, 256), (384, 256)])
@pytest.mark.parametrize("refinements", [0, 2])
def test_outputs_have_the_size_of_the_input(size: tuple[int, int], refinements: int) -> None:
    with torch.no_grad():
        outputs = MADF(MadfOptions(width=4, refinements=refinements))(torch.randn(2, 3, *size), holes(2, *size)).outputs
    assert [tuple(image.shape) for image in outputs] == [(2, 3, *size)] * (refinements + 1)


@pytest.mark.slow
@pytest.mark.parametrize("side", [128, 512])
def test_full_width_at_512_pixels(side: int) -> None:
    with torch.no_grad():
        outputs = MADF(MadfOptions())(torch.randn(1, 3, side, side), holes(1, side, side)).outputs
    assert [tuple(image.shape) for image in outputs] == [(1, 3, side, side)] * 3


@pytest.mark.parametrize("size", [(64, 64), (192, 256), (128, 250)])
def test_other_sizes_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(RestorekitError, match=f"multiples of 128 pixels, not {size[1]}x{size[0]}"):
        MADF(MadfOptions(width=4))(torch.zeros(1, 3, *size), torch.ones(1, 1, *size))


@pytest.mark.parametrize("size", [(1, 1), (37, 31), (1, 200), (130, 129), (128, 256)])
def test_restore_takes_any_size(size: tuple[int, int]) -> None:
    model, image = MADF(MadfOptions(width=4)).eval(), torch.rand(1, 3, *size)
    mask = (torch.rand(1, 1, *size) > 0.5).float()
    restored = model.restore(image, mask)
    assert restored.shape == image.shape
    assert 0 <= restored.min() <= restored.max() <= 1
    valid = (mask == 0).expand_as(image)
    assert torch.equal(restored[valid], image[valid])


def test_padding_counts_as_a_hole() -> None:
    """So the pixels of the padding have no influence."""
    model, image, mask = MADF(MadfOptions(width=4)).eval(), torch.rand(1, 3, 100, 90), torch.zeros(1, 1, 100, 90)
    mask[..., 20:60, 30:70] = 1
    whole = F.pad(image, (0, 38, 0, 28), value=0.3)
    expected = model.restore(whole, F.pad(mask, (0, 38, 0, 28), value=1.0))[..., :100, :90]
    torch.testing.assert_close(model.restore(image, mask), expected, rtol=0, atol=1e-6)


# ---- masks


@pytest.mark.parametrize("which", ["all holes", "all valid", "one hole", "one valid", "soft"])
@pytest.mark.parametrize("training", [True, False])
def test_outputs_and_gradients_are_finite_for_every_mask(which: str, training: bool) -> None:
    model, image = MADF(MadfOptions(width=4)).train(training), torch.randn(1, 3, 128, 256)
    mask = torch.full((1, 1, 128, 256), float(which in ("all valid", "one hole")))
    if which == "soft":
        mask = torch.rand(1, 1, 128, 256)
    elif which.startswith("one"):
        mask[..., 50, 77] = 1 - mask[..., 50, 77]
    outputs = model(image, mask).outputs
    torch.stack([image.square().mean() for image in outputs]).sum().backward()
    assert all(torch.isfinite(output).all() for output in outputs)
    assert all(torch.isfinite(value.grad).all() for value in model.parameters() if value.grad is not None)


def test_an_image_without_holes_does_not_change() -> None:
    image = torch.rand(1, 3, 128, 128)
    assert torch.equal(MADF(MadfOptions(width=4)).eval().restore(image, torch.zeros(1, 1, 128, 128)), image)


@pytest.mark.parametrize("training", [True, False])
def test_pixels_in_holes_have_no_influence(training: bool) -> None:
    model, mask = MADF(MadfOptions(width=8)).train(training), holes(1, 128, 128)
    image = torch.randn(1, 3, 128, 128)
    other = torch.where(mask == 0, torch.randn_like(image) * 100, image)
    with torch.no_grad():
        for one, two in zip(model(image, mask).outputs, model(other, mask).outputs, strict=True):
            assert torch.equal(one, two)
        nothing = torch.zeros_like(mask)
        for one, two in zip(model(image, nothing).outputs, model(other, nothing).outputs, strict=True):
            assert torch.equal(one, two)


def test_a_valid_pixel_reaches_the_hole() -> None:
    model, mask = MADF(MadfOptions(width=8)).eval(), torch.ones(1, 1, 128, 128)
    mask[..., 40:90, 40:90] = 0
    image = torch.rand(1, 3, 128, 128)
    changed = image.clone()
    changed[..., 30:36, 30:36] += 0.3
    one, two = (model.restore(x.clamp(0, 1), 1 - mask) for x in (image, changed))
    assert not torch.equal(one[..., 40:90, 40:90], two[..., 40:90, 40:90])


def test_a_mask_of_one_channel_equals_a_mask_of_three() -> None:
    model, image, mask = MADF(MadfOptions(width=4)).eval(), torch.randn(1, 3, 128, 128), holes(1, 128, 128)
    with torch.no_grad():
        assert torch.equal(model(image, mask).outputs[-1], model(image, mask.expand(-1, 3, -1, -1)).outputs[-1])


def test_restore_needs_a_mask_and_blends_with_a_soft_mask() -> None:
    model, image = MADF(MadfOptions(width=4)).eval(), torch.rand(1, 3, 128, 128)
    with pytest.raises(RestorekitError, match="needs a mask"):
        model.restore(image)
    share = torch.full((1, 1, 128, 128), 0.25)
    with torch.no_grad():
        output = model((image - MEAN) / STD, 1 - share).outputs[-1]
    expected = 0.75 * image + 0.25 * (output * STD + MEAN).clamp(0, 1)
    torch.testing.assert_close(model.restore(image, share), expected, rtol=0, atol=1e-5)


MEAN = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
STD = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)


# ---- point-wise norms


def test_a_pointwise_norm_without_modulation_is_a_batch_norm() -> None:
    norm, plain = PointwiseNorm(6, 10, plus_one=True), nn.BatchNorm2d(6, affine=False)
    nn.init.zeros_(norm.modulate.weight)
    nn.init.zeros_(norm.modulate.bias)  # type: ignore[arg-type]
    for training in (True, True, False):
        norm.train(training), plain.train(training)
        features = torch.randn(3, 6, 8, 9) * 4 + 2
        modulation = norm.modulation(torch.randn(3, 6, 8, 9), (8, 9))
        assert torch.equal(norm(features, modulation), plain(features))
    assert torch.equal(norm.norm.running_mean, plain.running_mean)  # type: ignore[arg-type]
    assert norm.norm.running_mean.abs().max() > 0.1  # type: ignore[union-attr]


def test_a_guide_of_another_size_is_resized() -> None:
    norm, guide = PointwiseNorm(6, 10, plus_one=True), torch.randn(1, 6, 4, 5)
    resized = F.interpolate(guide, size=(8, 10), mode="bilinear", align_corners=False)
    assert torch.equal(norm.modulation(guide, (8, 10)), norm.modulation(resized, (8, 10)))


def test_without_plus_one_the_scale_is_the_factor() -> None:
    norm, features = PointwiseNorm(6, 10, plus_one=False), torch.randn(2, 6, 8, 9)
    modulation = norm.modulation(torch.randn(2, 6, 8, 9), (8, 9))
    scale, bias = modulation.chunk(2, 1)
    normed = nn.BatchNorm2d(6, affine=False)(features)
    torch.testing.assert_close(norm(features, modulation), normed * scale + bias)
    norm.plus_one = True
    torch.testing.assert_close(norm(features, modulation), normed * (1 + scale) + bias)


# ---- gradients, precision and memory


@pytest.mark.parametrize("options", [{}, {"encoder_bn": True}, {"filters": "ordinary"}])
def test_every_parameter_gets_a_gradient(options: dict[str, Any]) -> None:
    model = MADF(MadfOptions(width=4, init="he", **options))
    torch.stack(
        [i.square().mean() for i in model(torch.randn(2, 3, 128, 128), holes(2, 128, 128)).outputs]
    ).sum().backward()
    lazy = [name for name, value in model.named_parameters() if value.grad is None or not value.grad.any()]
    assert not [name for name in lazy if "shared" not in name]  # init he zeroes `modulate`, which reads `shared`


def test_bfloat16_is_near_float32() -> None:
    model, image, mask = MADF(MadfOptions(width=8, init="he")).train(), torch.randn(2, 3, 128, 128), holes(2, 128, 128)
    exact = model(image, mask).outputs[-1]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = model(image, mask).outputs[-1]
        rounded.float().square().mean().backward()
    assert (rounded.float() - exact).abs().mean() < 0.05 * exact.abs().mean()
    assert all(torch.isfinite(value.grad).all() for value in model.parameters() if value.grad is not None)


# ---- options


@pytest.mark.parametrize("options, message", [
    ({"width": 6}, "madf's width: .*multiple of 4 .found 6."),
    ({"refinements": 3}, "less than or equal to 2"),
    ({"filters": "dynamical"}, "unknown filters of madf 'dynamical': did you mean 'dynamic'"),
    ({"normalisation": "layer"}, "unknown normalisation"),
    ({"init": "hee"}, "unknown init of madf"),
    ({"wdth": 8}, "unknown option of madf 'wdth'"),
])  # fmt: skip
def test_invalid_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(RestorekitError, match=message):
        create_model("madf", **options)


def test_options_rebuild_the_network() -> None:
    options = {"width": 8, "refinements": 1, "filters": "ordinary", "normalisation": "batch"}
    model = create_model("madf", **options)
    again = create_model("madf", **model.options.model_dump())  # type: ignore[union-attr, operator]
    assert {k: v.shape for k, v in again.state_dict().items()} == {k: v.shape for k, v in model.state_dict().items()}
    assert not any("bank" in key or "modulate" in key for key in model.state_dict())
    described: Any = model.descriptor
    assert (described.name, described.takes_mask, described.size_multiple) == ("madf", True, 128)


@pytest.mark.parametrize("plus_one", [True, False])
def test_init_he_starts_pointwise_norms_as_batch_norms(plus_one: bool) -> None:
    model = MADF(MadfOptions(width=4, init="he", pn_plus_one=plus_one))
    norms = [module for module in model.modules() if isinstance(module, PointwiseNorm)]
    assert len(norms) == 12
    for norm in norms:
        channels = norm.shared.in_channels
        features, guide = torch.randn(2, channels, 4, 4), torch.randn(2, channels, 4, 4)
        expected = nn.BatchNorm2d(channels, affine=False)(features)
        torch.testing.assert_close(norm(features, norm.modulation(guide, (4, 4))), expected)
