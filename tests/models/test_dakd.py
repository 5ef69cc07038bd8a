"""DAKD's properties, numbered as in dakd.md 11: counts, shapes, gates, context, extreme masks, batches."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from restorekit.config.dakd import DakdOptions
from restorekit.errors import RestorekitError
from restorekit.models import create_model
from restorekit.models.dakd import DAKD
from restorekit.models.dakd.blocks import Dense
from restorekit.models.dakd.student import GatedConv, GlobalContext
from restorekit.models.dakd.teacher import Features

ABLATIONS: list[dict[str, Any]] = [
    {},
    {"gates": "none", "context": False},
    {"gates": "none", "context": False, "mask_input": True},
    {"context": False},
    {"fusion": True},
]


def count(module: nn.Module | None) -> int:
    return 0 if module is None else sum(parameter.numel() for parameter in module.parameters())


def alive(width: int = 8, **options: Any) -> DAKD:
    """A network in which every layer affects the output."""
    torch.manual_seed(1)
    return DAKD(DakdOptions(width=width, init="he", **options))


# ---- 1: counts


def test_parameter_counts() -> None:
    with torch.device("meta"):
        model, baseline = DAKD(DakdOptions()), DAKD(DakdOptions(gates="none", context=False))
    assert count(model.teacher) == 1_424_225
    assert count(model.student) == 1_839_171
    assert count(model.student.gates) == 389_536
    assert count(model.student.context) == 24_832
    assert count(baseline.student) == 1_424_803
    assert count(create_model("dakd")) == 3_263_396


def test_multiplications_per_pixel() -> None:
    with FakeTensorMode(), torch.no_grad():  # shapes only
        model, image = DAKD(DakdOptions()), torch.empty(1, 3, 256, 256)
        for call, expected in ((lambda: model.teacher(image), 371_488), (lambda: student(model, image), 429_400)):
            with FlopCounterMode(display=False) as counter:
                call()
            convolutions = counter.get_flop_counts()["Global"][torch.ops.aten.convolution]
            assert convolutions / 2 / 256**2 == pytest.approx(expected, rel=0.01)


def student(model: DAKD, image: Tensor) -> Any:
    return model.student(image, image[:, :1], Features([], []))


@pytest.mark.parametrize("width", [1, 4, 16])
def test_width_scales_both_networks_and_the_growth(width: int) -> None:
    model = DAKD(DakdOptions(width=width))
    for network in (model.teacher, model.student):
        assert [block.mix.out_channels for block in network.encoder.dense] == [width, 2 * width, 4 * width]
        assert [block.growth for block in (*network.encoder.dense, *network.decoder.dense)] == [width] * 6
        assert network.decoder.first.in_channels == width + 3
    with torch.no_grad():
        assert model(torch.rand(1, 3, 8, 8)).restored.shape == (1, 3, 8, 8)


# ---- 2: shapes


@pytest.mark.parametrize("size", [(64, 64), (65, 70), (256, 256), (480, 720)])
def test_shapes(size: tuple[int, int]) -> None:
    with FakeTensorMode(), torch.no_grad():
        result = DAKD(DakdOptions(width=4))(torch.empty(2, 3, *size))
    assert result.logit.shape == result.mask.shape == (2, 1, *size)
    assert result.restored.shape == (2, 3, *size)
    padded = [side + -side % 4 for side in size]
    scales = [(channels, *(side // scale for side in padded)) for channels, scale in ((4, 1), (8, 2), (16, 4), (16, 4))]
    for features in (result.teacher.encoder, result.student):
        assert [tuple(one.shape[1:]) for one in features] == scales
    assert [tuple(gate.shape[1:]) for gate in result.gates] == [(1, *scales[level][1:]) for level in (2, 1, 0)]


@pytest.mark.parametrize("size", [(4, 4), (5, 7), (37, 31)])
def test_padding_is_reflection_and_is_cropped_from_the_output(size: tuple[int, int]) -> None:
    model, image = alive(), torch.rand(1, 3, *size)
    below, right = (-side % 4 for side in size)
    padded = nn.functional.pad(image, (0, right, 0, below), mode="reflect")
    with torch.no_grad():
        torch.testing.assert_close(model(image).restored, model(padded).restored[..., : size[0], : size[1]])
    torch.testing.assert_close(model.restore(image), model.restore(padded)[..., : size[0], : size[1]])


@pytest.mark.parametrize("size", [(3, 64), (64, 3), (1, 1)])
def test_an_image_below_the_minimum_size_is_refused(size: tuple[int, int]) -> None:
    model = DAKD(DakdOptions(width=2))
    assert model.descriptor.min_size == 4
    for call in (model, model.restore, model.locate):
        with pytest.raises(RestorekitError, match=f"{size[1]}x{size[0]} pixels .* 4"):
            call(torch.zeros(1, 3, *size))


# ---- 4: the mask, and the gradients of the teacher


def test_the_mask_is_between_0_and_1_and_guides_the_student() -> None:
    model, image = alive(), torch.rand(2, 3, 24, 28)
    with torch.no_grad():
        result = model(image)
        assert 0 < result.mask.min() < result.mask.max() < 1
        torch.testing.assert_close(result.mask, result.logit.sigmoid())
        torch.testing.assert_close(model(image, mask=result.mask).restored, result.restored)
        torch.testing.assert_close(model.restore(image), result.restored.clamp(0, 1))
        torch.testing.assert_close(model.locate(image), result.mask)


@pytest.mark.parametrize("options", ABLATIONS)
def test_the_student_sends_no_gradient_to_the_teacher(options: dict[str, Any]) -> None:
    model = alive(**options)
    result = model(torch.rand(2, 3, 16, 20))
    (result.restored.square().mean() + result.student[3].square().mean()).backward()
    assert all(parameter.grad is None for parameter in model.teacher.parameters())
    for name, parameter in model.student.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_only_mask_trains_only_the_teacher() -> None:
    model = alive()
    result = model(torch.rand(1, 3, 16, 20), only_mask=True)
    assert result.restored is None
    result.logit.square().mean().backward()
    assert all(parameter.grad is not None for parameter in model.teacher.parameters())
    assert all(parameter.grad is None for parameter in model.student.parameters())


# ---- 5: the gated convolution


def test_gates_lie_strictly_between_0_and_1_and_depend_on_the_mask() -> None:
    gated, features = GatedConv(6), torch.randn(2, 6, 9, 11)
    black, white = torch.zeros(2, 1, 9, 11), torch.ones(2, 1, 9, 11)
    opening = gated.opening(features, black)
    assert 0 < opening.min() < opening.max() < 1
    out, gate = gated(features, black)
    torch.testing.assert_close(gate, opening.mean(dim=1, keepdim=True))
    assert not gate.requires_grad
    other, _ = gated(features, white)
    assert (out - other).abs().max() > 1e-4
    assert gated.gate.in_channels == 7


def test_a_gated_convolution_without_features_is_the_identity() -> None:
    gated, features = GatedConv(6), torch.randn(2, 6, 9, 11)
    nn.init.zeros_(gated.feature.weight)
    nn.init.zeros_(gated.feature.bias)  # type: ignore[arg-type]
    assert torch.equal(gated(features, torch.rand(2, 1, 9, 11))[0], features)


# ---- 6: global context


@pytest.fixture
def context() -> GlobalContext:
    torch.manual_seed(2)
    return GlobalContext(12, 5)


def test_a_clean_image_goes_through_the_context_unchanged(context: GlobalContext) -> None:
    features = torch.randn(2, 12, 7, 9)
    assert torch.equal(context(features, torch.zeros(2, 1, 7, 9))[0], features)


@pytest.mark.parametrize("level", [0.3, 1.0])
def test_a_constant_mask_does_not_change_the_gathering_weights(context: GlobalContext, level: float) -> None:
    features = torch.randn(2, 12, 7, 9)
    without = context.gather(features).flatten(2).softmax(dim=2)
    weights = context.weights(features, torch.full((2, 1, 7, 9), level))
    torch.testing.assert_close(weights, without, rtol=0, atol=1e-6)
    torch.testing.assert_close(weights.sum(dim=2), torch.ones(2, 5))


def test_the_context_commutes_with_a_shuffle_of_positions(context: GlobalContext) -> None:
    features, mask = torch.randn(1, 12, 6, 8), torch.rand(1, 1, 6, 8)
    order = torch.randperm(48)

    def shuffled(values: Tensor) -> Tensor:
        return values.flatten(2)[..., order].unflatten(2, (6, 8))

    torch.testing.assert_close(context(shuffled(features), shuffled(mask))[0], shuffled(context(features, mask)[0]))


def test_context_is_gathered_from_clean_pixels(context: GlobalContext) -> None:
    nn.init.zeros_(context.gather.weight)
    nn.init.zeros_(context.gather.bias)  # type: ignore[arg-type]
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., 4:] = 1
    features = torch.randn(1, 12, 8, 8)
    weights = context.weights(features, mask).unflatten(2, (8, 8))
    assert weights[..., :4].sum(dim=(2, 3)).min() > 0.99
    gathered = context(features, mask)[1].gathered
    assert gathered[..., :4].mean() > 1.9
    assert gathered.mean() == pytest.approx(1.0, abs=1e-5)


def test_one_context_equals_attention_with_one_query() -> None:
    """The reference is the quadratic form: with an equal query everywhere, full attention gathers the same as A_1."""
    context = GlobalContext(6, 1)
    features, mask = torch.randn(1, 6, 5, 4), torch.rand(1, 1, 5, 4)
    positions = 20
    bias = torch.log(1 - mask + 1e-3).flatten(2)  # (1, 1, N), the same for each of the N queries
    scores = (context.gather(features).flatten(2) + bias).expand(1, positions, positions)
    attended = scores.softmax(dim=2) @ context.value(features).flatten(2).transpose(1, 2)
    added = context.out(attended.transpose(1, 2).unflatten(2, (5, 4)))
    torch.testing.assert_close(context(features, mask)[0], features + mask * added)


# ---- 7: extreme masks and images


@pytest.mark.parametrize("kind", ["zeros", "ones", "one pixel"])
@pytest.mark.parametrize("image", [torch.zeros(1, 3, 16, 20), torch.ones(1, 3, 16, 20), torch.rand(1, 3, 16, 20)])
def test_outputs_are_finite_for_extreme_masks_and_images(image: Tensor, kind: str) -> None:
    mask = torch.full((1, 1, 16, 20), float(kind == "ones"))
    mask[0, 0, 5, 6] = float(kind != "zeros")
    model = alive()
    result = model(image, mask=mask)
    result.restored.square().mean().backward()
    assert result.restored.isfinite().all()
    assert all(parameter.grad.isfinite().all() for parameter in model.student.parameters())
    only = model(image, only_mask=True).logit
    assert only.isfinite().all()


@pytest.mark.parametrize("options", ABLATIONS)
def test_restore_guided_equals_forward_with_the_same_mask(options: dict[str, Any]) -> None:
    model, image = alive(**options), torch.rand(2, 3, 19, 18)
    for mask in (torch.rand(2, 1, 19, 18), torch.zeros(2, 1, 19, 18), torch.ones(2, 1, 19, 18)):
        wanted = model(image, mask=mask).restored.clamp(0, 1)
        torch.testing.assert_close(model.restore_guided(image, mask), wanted)


# ---- 8: the global residual


@pytest.mark.parametrize("options", ABLATIONS)
def test_zero_last_starts_from_the_input(options: dict[str, Any]) -> None:
    model, image = DAKD(DakdOptions(width=4, zero_last=True, **options)), torch.rand(2, 3, 19, 18)
    result = model(image)
    assert torch.equal(result.restored, image)
    assert torch.equal(model.restore(image), image)
    result.restored.square().mean().backward()
    assert model.student.decoder.last.weight.grad.abs().sum() > 0


def test_with_a_negative_slope_a_layer_below_zero_still_learns() -> None:
    def gradient_below(negative_slope: float) -> float:
        model = alive(negative_slope=negative_slope)
        with torch.no_grad():
            model.student.decoder.conv[2].bias.sub_(100.0)
        model(torch.rand(1, 3, 16, 16)).restored.square().mean().backward()
        return float(model.student.decoder.conv[2].weight.grad.abs().sum())

    assert gradient_below(0.0) == 0
    assert gradient_below(0.2) > 0


# ---- 11: batches, seeds, and equivalent forms


def test_an_image_does_not_depend_on_the_batch() -> None:
    model, images = alive(), torch.rand(2, 3, 24, 28)
    with torch.no_grad():
        together = model(images)
        for number in range(2):
            alone = model(images[number : number + 1])
            torch.testing.assert_close(together.restored[number], alone.restored[0], rtol=0, atol=1e-5)
            torch.testing.assert_close(together.mask[number], alone.mask[0], rtol=0, atol=1e-5)


def test_one_seed_gives_one_network() -> None:
    def first_weights() -> Tensor:
        torch.manual_seed(3)
        return torch.cat([value.flatten() for value in create_model("dakd", width=4, init="he").state_dict().values()])

    assert torch.equal(first_weights(), first_weights())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_dense_block_without_gradients_gives_the_same_result(dtype: torch.dtype) -> None:
    block, features = Dense(6, 4, 3), torch.randn(2, 6, 9, 7, dtype=dtype)
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype is torch.bfloat16):
        kept = block(features).detach()
        with torch.no_grad():
            torch.testing.assert_close(block(features), kept)


def test_bfloat16_is_close() -> None:
    model, image = alive(zero_last=False), torch.rand(2, 3, 33, 40)
    nn.init.normal_(model.student.decoder.last.weight, std=0.01)
    with torch.no_grad():
        exact = model(image)
        with torch.autocast("cpu", torch.bfloat16):
            rounded = model(image)
    assert rounded.restored.dtype == rounded.logit.dtype == torch.float32
    assert (rounded.restored - exact.restored).abs().max() < 0.05
    assert (rounded.mask - exact.mask).abs().max() < 0.1


# ---- restore and its memory


def test_restore_keeps_the_range_and_ignores_the_mask() -> None:
    model, image = alive(), torch.rand(1, 3, 20, 33)
    kept = image.clone()
    restored = model.restore(image, torch.ones(1, 1, 20, 33))
    assert torch.equal(restored, model.restore(image))
    assert torch.equal(image, kept)
    assert 0 <= restored.min() <= restored.max() <= 1
    assert not restored.requires_grad
    assert restored.dtype == torch.float32


@pytest.mark.parametrize("width", [16, 32])
def test_the_descriptor_states_the_peak_memory(peak_bytes: Callable[..., int], width: int) -> None:
    model, image = DAKD(DakdOptions(width=width)), torch.rand(1, 3, 160, 160)
    used = peak_bytes(lambda: model.restore(image), [*model.state_dict().values(), image]) / 160**2
    convolution = 4 * 3.5 * width  # a kernel's workspace, which the meter does not count
    assert 0.95 * model.descriptor.bytes_per_pixel < used + convolution <= model.descriptor.bytes_per_pixel


def test_the_context_is_linear_in_memory(context: GlobalContext, peak_bytes: Callable[..., int]) -> None:
    used = []
    for side in (16, 32, 64):
        features, mask = torch.rand(1, 12, side, side), torch.rand(1, 1, side, side)
        known = [*context.state_dict().values(), features, mask]
        with torch.no_grad():
            used.append(peak_bytes(lambda: context(features, mask), known) / side**2)  # noqa: B023
    assert max(used) < 1.1 * min(used)


def test_4k_at_the_laptops_width_stays_below_6_gib() -> None:
    assert DAKD(DakdOptions(width=16)).descriptor.bytes_per_pixel * 3840 * 2160 < 6 * 2**30


@pytest.mark.parametrize(
    "options, message",
    [
        ({"widht": 8}, "unknown option of dakd 'widht': did you mean 'width'"),
        ({"gates": "hard"}, "unknown gates of dakd 'hard'"),
        ({"init": "hee"}, "did you mean 'he'"),
        ({"width": 0}, "dakd's width: .*greater than or equal to 1"),
        ({"width": 8.0}, "valid integer"),
        ({"tau": 0.0}, "dakd's tau: .*greater than 0"),
        ({"negative_slope": 1.0}, "less than 1"),
    ],
)
def test_invalid_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(RestorekitError, match=message):
        create_model("dakd", **options)
