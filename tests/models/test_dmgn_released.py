"""The network equals the released definition, written out here from dmgn.md with the authors' names."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from restorekit.config.dmgn import DmgnOptions
from restorekit.errors import RestorekitError
from restorekit.models.authors import from_authors
from restorekit.models.dmgn import DMGN
from restorekit.models.dmgn.released import names as dmgn_names
from restorekit.models.dmgn.released import unused as dmgn_unused

VARIANTS = ("reflection", "rain", "haze")
Weights = dict[str, Tensor]


# ---- dmgn.md sections 3 and 4, literally: all maps are concatenated, all maps are kept


def conv(
    weights: Weights, key: str, x: Tensor, pad: int = 1, stride: int = 1, dilation: int = 1, groups: int = 1
) -> Tensor:
    if pad:
        x = F.pad(x, (pad, pad, pad, pad), mode="reflect")
    return F.conv2d(x, weights[f"{key}.weight"], weights.get(f"{key}.bias"), stride, 0, dilation, groups)


def pair(weights: Weights, key: str, x: Tensor, dilation: int = 1) -> Tensor:
    x = F.relu(conv(weights, f"{key}.1", x, dilation, dilation=dilation))
    return F.relu(conv(weights, f"{key}.4", x, dilation, dilation=dilation))


def gate(weights: Weights, key: str, x: Tensor) -> Tensor:
    return torch.sigmoid(conv(weights, f"{key}.2", torch.tanh(conv(weights, f"{key}.0", x, 0)), 0))


def vgg_levels(weights: Weights, x: Tensor) -> list[Tensor]:
    layers = [0, 2, "pool", 5, 7, "pool", 10, 12, 14, 16, "pool", 19, 21, 23, 25, "pool", 28]
    taps = []
    for layer in layers:
        if layer == "pool":
            x = F.max_pool2d(x, 2)
            continue
        key = f"head_feat.vgg.vgg_pretrained_features.{layer}"
        x = F.relu(F.conv2d(x, weights[f"{key}.weight"], weights[f"{key}.bias"], padding=1))
        if layer in (0, 5, 10, 19, 28):
            taps.append(x)
    return taps


def head(weights: Weights, x: Tensor) -> Tensor:
    maps = [
        F.interpolate(t.detach(), size=x.shape[2:], mode="bilinear", align_corners=False)
        for t in vgg_levels(weights, x)
    ]
    return pair(weights, "head_feat.conv", torch.cat([x, *maps], 1))


def cell(
    weights: Weights, key: str, x: Tensor, dilation: int = 1, k: Tensor | None = None, a: float = 0.0
) -> tuple[Tensor, Tensor]:
    g = pair(weights, f"{key}.conv1", x, dilation)
    m = gate(weights, f"{key}.mask_1.mask", g)
    if k is not None:
        m = (m + a * k) / (1 + a)
    return x + m * g, m


def branch(weights: Weights, prefix: str, out: str, x: Tensor) -> tuple[Tensor, list[Tensor]]:
    m: dict[str, Tensor] = {}
    c0, m["1"] = cell(weights, f"{prefix}s_m0", x)
    c1, m["2"] = cell(weights, f"{prefix}s_m1", F.relu(conv(weights, f"{prefix}s_m0.conv3.conv.1", c0, stride=2)))
    x = F.relu(conv(weights, f"{prefix}s_m1.conv3.conv.1", c1, stride=2))
    for number, name in enumerate(["s_m2", "s_m3", "s_m4", "s_m5", "s_m21", "s_m31", "s_m41", "s_m51"]):
        x, m[str(number + 3)] = cell(weights, prefix + name, x)
    x = F.interpolate(x, size=c1.shape[2:], mode="bilinear", align_corners=True)
    x = pair(weights, f"{prefix}up1.up", torch.cat([x, c1], 1))
    x, m["11"] = cell(weights, f"{prefix}s_m6", x)
    x = F.interpolate(x, size=c0.shape[2:], mode="bilinear", align_corners=True)
    x = pair(weights, f"{prefix}up2.up", torch.cat([x, c0], 1))
    x, m["12"] = cell(weights, f"{prefix}s_m7", x)
    image = conv(weights, f"{out}.outconv.3", F.relu(conv(weights, f"{out}.outconv.1", x)), 0)
    return image, [m[number] for number in ("1", "2", "3", "4", "5", "10", "11", "12")]


def attention(weights: Weights, x: Tensor, s: float) -> Tensor:
    channels = x.shape[1]
    p = F.relu(conv(weights, "Channel_weight.Depthwise_conv.1", x, 1, stride=4, groups=channels))
    g = torch.sigmoid(conv(weights, "Channel_weight.mask.0", p, 0, groups=channels))
    q = (p * g).mean((2, 3))
    q = F.relu(F.linear(q, weights["Channel_weight.Channelwise_conv1.0.weight"]))
    w = torch.sigmoid(F.linear(q, weights["Channel_weight.Channelwise_conv1.2.weight"]))
    return s * w[:, :, None, None] * x


def released(weights: Weights, image: Tensor, reflection: bool) -> dict[str, Any]:
    features = head(weights, image)
    u = pair(weights, "seperator.conv", features)
    m = gate(weights, "seperator.mask", u)
    head_b, gates = branch(weights, "", "outconv_B_coarse", m * u)
    head_r, _ = branch(weights, "r_branch.", "outconv_R", (1 - m) * u)
    coarse, noise = (image + head_b, image + head_r) if reflection else (head_b, head_r)
    noise_features = head(weights, noise)
    z = torch.cat([head(weights, coarse), attention(weights, m * u, 1.0), attention(weights, noise_features, -1.0)], 1)
    k = None
    if reflection:
        n = gate(weights, "seperator2.mask", pair(weights, "seperator2.conv", torch.cat([features, noise_features], 1)))
        mean, top = n.mean((1, 2, 3), keepdim=True), n.amax((1, 2, 3), keepdim=True)
        k = 1 - (n - mean) / (top - mean)
    x = F.relu(conv(weights, "refine.conv.1", z))
    for number, dilation in enumerate([1, 2, 4, 8, 16, 1]):
        x, steered = cell(weights, f"refine.s_m{number}", x, dilation, k, 0.4 * 0.5**number)
        gates.append(steered)
    out = conv(weights, "refine.outconv.2", F.relu(conv(weights, "refine.outconv.0", x, 0)), 0)
    background = image + (torch.tanh(out) if reflection else out)
    return {"coarse": coarse, "noise": noise, "background": background, "mask": m, "gates": gates, "k": k}


# ---- parity


def authors_weights(model: DMGN) -> Weights:
    own = model.state_dict()
    return {theirs: own[ours] for theirs, ours in dmgn_names().items() if ours in own}


def assert_near(found: Tensor, expected: Tensor, tolerance: float) -> None:
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=tolerance)


def assert_equal_to_released(model: DMGN, image: Tensor, tolerances: dict[str, float]) -> None:
    """The reference runs in float64, because its errors in float32 depend on the processor."""
    exact = {name: values.double() for name, values in authors_weights(model).items()}
    with torch.no_grad():
        found = model(image)
        expected = released(exact, image.double(), model.options.variant == "reflection")
    assert {value.dtype for value in (found.coarse, found.noise, found.background, *found.gates)} == {image.dtype}
    assert_near(found.coarse, expected["coarse"], tolerances["coarse"])
    assert_near(found.noise, expected["noise"], tolerances["coarse"])
    assert_near(found.background, expected["background"], tolerances["background"])
    assert_near(found.separator_mask, expected["mask"], tolerances["coarse"])
    if expected["k"] is None:
        assert found.noise_distribution is None
    else:
        assert_near(found.noise_distribution, expected["k"], tolerances["k"])
    assert len(found.gates) == len(expected["gates"]) == 14
    for one, other in zip(found.gates, expected["gates"], strict=True):
        assert_near(one, other, tolerances["background"])


DOUBLE = {"coarse": 1e-8, "background": 1e-8, "k": 1e-8}
SINGLE = {"coarse": 1e-5, "background": 1e-4, "k": 5e-3}


@pytest.mark.parametrize("variant", VARIANTS)
def test_float64_parity_at_odd_size(lively: Callable[..., DMGN], variant: str) -> None:
    model = lively(variant=variant, width=6).double()
    assert_equal_to_released(model, torch.rand(2, 3, 33, 47, dtype=torch.float64) * 2 - 1, DOUBLE)


@pytest.mark.parametrize("variant", ["reflection", "rain"])
def test_parity_at_full_width(variant: str) -> None:
    model, image = DMGN(DmgnOptions(variant=variant)), torch.rand(1, 3, 18, 33) * 2 - 1  # type: ignore[arg-type]
    assert_equal_to_released(model, image, SINGLE)
    assert_equal_to_released(model.double(), image.double(), DOUBLE)


# ---- the authors' file


@pytest.fixture(scope="module")
def file(released_keys: dict[str, tuple[tuple[int, ...], str]]) -> Weights:
    """A stand-in for the authors' file: used tensors are random, the others empty."""
    generator = torch.Generator().manual_seed(5)
    made = {}
    for key, (shape, status) in released_keys.items():
        fan = max(1, int(torch.tensor(shape[1:]).prod()))
        made[key] = (
            torch.zeros(shape) if "unused" in status else torch.randn(shape, generator=generator) * 0.8 / fan**0.5
        )
    return made


def test_every_key_is_used_or_listed_as_unused(released_keys: dict[str, tuple[tuple[int, ...], str]]) -> None:
    used, unused = dmgn_names(), dmgn_unused()
    assert len(released_keys) == 294
    assert len(unused) == 32
    assert used.keys() | unused.keys() == released_keys.keys()
    assert not used.keys() & unused.keys()
    assert unused == {key: shape for key, (shape, status) in released_keys.items() if status.endswith("unused")}


@pytest.mark.parametrize("variant", VARIANTS)
def test_one_file_fills_every_variant(file: Weights, variant: str) -> None:
    model = from_authors("dmgn", {f"module.{key}": value for key, value in file.items()}, variant)
    assert not model.training
    assert not any(value.is_meta for value in model.state_dict().values())
    image = torch.rand(1, 3, 17, 17) * 2 - 1
    with torch.no_grad():
        found, expected = model(image), released(file, image, variant == "reflection")
    torch.testing.assert_close(found.coarse, expected["coarse"], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found.background, expected["background"], rtol=1e-3, atol=1e-3)


def test_rain_does_not_depend_on_the_noise_map(file: Weights) -> None:
    changed = {key: value + 1 if key.startswith("seperator2.") else value for key, value in file.items()}
    image = torch.rand(1, 3, 17, 17) * 2 - 1
    one, other = from_authors("dmgn", file, "rain"), from_authors("dmgn", changed, "rain")
    with torch.no_grad():
        assert torch.equal(one(image).background, other(image).background)


def test_from_authors_copies_the_tensors(file: Weights) -> None:
    model = from_authors("dmgn", file, "rain")
    model.separator.first.weight.data.zero_()  # type: ignore[union-attr]
    assert file["seperator.conv.1.weight"].abs().sum() > 0


@pytest.mark.parametrize(
    "key", ["seperator.conv.1.weight", "seperator2.mask.0.weight", "refine.s_m3.conv3.conv.1.weight"]
)
def test_an_incomplete_file_is_refused(file: Weights, key: str) -> None:
    without = {name: value for name, value in file.items() if name != key}
    with pytest.raises(RestorekitError, match=f"no '{key}'"):
        from_authors("dmgn", without, "rain")
    with pytest.raises(RestorekitError, match=f"'{key}' .* expected"):
        from_authors("dmgn", {**file, key: torch.zeros(1, 2)}, "rain")
    with pytest.raises(RestorekitError, match="unknown key, 'more'"):
        from_authors("dmgn", {**file, "more": torch.zeros(1)}, "rain")


def test_another_model_has_no_released_weights() -> None:
    with pytest.raises(RestorekitError, match=r"'dmg'.*did you mean 'dmgn'"):
        from_authors("dmg", {})
