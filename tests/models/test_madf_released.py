"""The network equals the released definition, written out here from madf.md with the authors' names.

The definition's encoder is the direct form: every position gets a filter bank, which multiplies unfolded windows.
"""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from restorekit.errors import RestorekitError
from restorekit.models import create_model, from_authors
from restorekit.models.authors import read_authors
from restorekit.models.madf import MADF
from restorekit.models.madf.released import dead_norms, extractor, sources

Weights = dict[str, Tensor]
KERNELS = {1: 7, 2: 5, 3: 3, 4: 3, 5: 3, 6: 3, 7: 3}


# ---- madf.md sections 2 and 4, literally: all maps are concatenated, all maps are kept


def conv(weights: Weights, key: str, x: Tensor, stride: int = 1, pad: int = 0) -> Tensor:
    return F.conv2d(x, weights[f"{key}.weight"], weights[f"{key}.bias"], stride, pad)


def raised(weights: Weights, key: str, x: Tensor) -> Tensor:
    return F.conv_transpose2d(x, weights[f"{key}.weight"], weights[f"{key}.bias"], stride=2, padding=1)


def normed(weights: Weights, key: str, x: Tensor, training: bool) -> Tensor:
    affine = weights.get(f"{key}.weight"), weights.get(f"{key}.bias")
    return F.batch_norm(x, weights[f"{key}.running_mean"], weights[f"{key}.running_var"], *affine, training, 0.1, 1e-5)


def direct_filtering(image: Tensor, mask_features: Tensor, weight: Tensor, bias: Tensor, kernel: int) -> Tensor:
    """The dynamic product before its ReLU: filters for every position, times the windows."""
    batch, _, rows, columns = mask_features.shape
    filters = F.conv2d(mask_features, weight, bias)
    windows = F.unfold(image, kernel, padding=kernel // 2, stride=2)
    filters = filters.view(batch, windows.shape[1], -1, rows * columns)
    product = torch.einsum("bkp,bkop->bop", windows, filters)
    return product.view(batch, -1, rows, columns)


def released(weights: Weights, x: Tensor, mask: Tensor, refinements: int, training: bool) -> list[Tensor]:
    """out_0 ... out_n for a normalised image and its mask (B, 3, H, W), 1 = valid; running statistics are updated."""
    e0 = torch.cat([x * mask, mask], 1)
    m, e, u = mask, e0, {}
    for level, kernel in KERNELS.items():
        m = F.relu(conv(weights, f"filter_gen_{level}.conv.0", m, 2, kernel // 2))
        key = f"filter_gen_{level}.conv1.0"
        e = F.relu(direct_filtering(e, m, weights[f"{key}.weight"], weights[f"{key}.bias"], kernel))
        u[level] = F.relu(conv(weights, f"enc_up_{level}.0", e))
    r = u[7]
    f = [u[7]] * refinements
    for level in range(7, 1, -1):
        t = F.leaky_relu(normed(weights, f"deconv_{level}.1", raised(weights, f"deconv_{level}.0", r), training), 0.2)
        r = F.relu(conv(weights, f"att_conv_{level}.conv.0", torch.cat([u[level - 1], t], 1), 1, 1))
        guide = r
        for k in range(refinements):
            key = f"dec_ref{k}_{level}"
            n = normed(weights, f"{key}.bn.batch_norm", raised(weights, f"{key}.deconv", f[k]), training)
            a = F.relu(conv(weights, f"{key}.bn.mlp_shared.0", guide, 1, 1))
            scale, bias = (conv(weights, f"{key}.bn.mlp_{what}", a, 1, 1) for what in ("scale", "bias"))
            guide = f[k] = F.leaky_relu(n * (1 + scale) + bias, 0.2)
    outputs = [conv(weights, "att_conv_1.conv.0", torch.cat([e0, raised(weights, "deconv_1.0", r)], 1), 1, 1)]
    for k in range(refinements):
        up = F.interpolate(f[k], scale_factor=2, mode="bilinear", align_corners=False)
        outputs.append(conv(weights, f"dec_ref{k}_1", torch.cat([up, *outputs, e0], 1)))
    return outputs


# ---- weights in the authors' layout, of any width


def authors_shapes(width: int, refinements: int) -> dict[str, tuple[int, ...]]:
    """Key -> shape for a network of `width`; width 64 gives madf_state_dict.txt without the encoder's norms."""
    narrow, masks, hidden = width // 4, max(4, width // 4), 2 * width
    e = dict(zip(range(8), (6, *(narrow * s for s in (1, 2, 4, 8, 8, 8, 8))), strict=True))
    u = dict(zip(range(1, 8), (width * s for s in (1, 2, 4, 8, 8, 8, 8)), strict=True))
    shapes: dict[str, tuple[int, ...]] = {}

    def layer(key: str, *shape: int, outputs: int | None = None) -> None:
        shapes[f"{key}.weight"], shapes[f"{key}.bias"] = shape, (outputs or shape[0],)

    def statistics(key: str, channels: int) -> None:
        shapes.update({f"{key}.running_mean": (channels,), f"{key}.running_var": (channels,)})
        shapes[f"{key}.num_batches_tracked"] = ()

    for level, k in KERNELS.items():
        layer(f"filter_gen_{level}.conv.0", masks, 3 if level == 1 else masks, k, k)
        layer(f"filter_gen_{level}.conv1.0", e[level - 1] * k * k * e[level], masks, 1, 1)
        layer(f"enc_up_{level}.0", u[level], e[level], 1, 1)
    for level in range(7, 1, -1):
        channels = u[level - 1]
        layer(f"deconv_{level}.0", u[level], channels, 4, 4, outputs=channels)
        layer(f"deconv_{level}.1", channels)
        statistics(f"deconv_{level}.1", channels)
        layer(f"att_conv_{level}.conv.0", channels, 2 * channels, 3, 3)
        for k in range(refinements):
            key = f"dec_ref{k}_{level}"
            layer(f"{key}.deconv", u[level], channels, 4, 4, outputs=channels)
            statistics(f"{key}.bn.batch_norm", channels)
            layer(f"{key}.bn.mlp_shared.0", hidden, channels, 3, 3)
            layer(f"{key}.bn.mlp_scale", channels, hidden, 3, 3)
            layer(f"{key}.bn.mlp_bias", channels, hidden, 3, 3)
    layer("deconv_1.0", u[1], 3, 4, 4, outputs=3)
    layer("att_conv_1.conv.0", 3, 9, 3, 3)
    for k in range(refinements):
        layer(f"dec_ref{k}_1", 3, u[1] + 3 * (k + 1) + 6, 1, 1)
    return shapes


def authors_weights(width: int, refinements: int, dtype: torch.dtype = torch.float64) -> Weights:
    """Random weights that keep a signal's size."""
    made = {}
    for key, shape in authors_shapes(width, refinements).items():
        if key.endswith("num_batches_tracked"):
            made[key] = torch.tensor(0)
        elif key.endswith("running_var") or (len(shape) == 1 and key.endswith(".1.weight")):
            made[key] = torch.rand(shape, dtype=dtype) + 0.5
        elif "conv1.0" in key:
            fan = shape[0] if len(shape) == 1 else shape[0] * shape[1]
            made[key] = torch.randn(shape, dtype=dtype) * (2.0 * width * 8 / fan) ** 0.5
        else:
            fan = torch.tensor(shape[1:]).prod().item() if len(shape) > 1 else 25.0
            made[key] = torch.randn(shape, dtype=dtype) * (2.0 / fan) ** 0.5
    return made


def random_mask(*size: int) -> Tensor:
    """Blocks of holes, 1 = valid."""
    coarse = (torch.rand(size[0], 1, size[1] // 16, size[2] // 16) > 0.4).double()
    return F.interpolate(coarse, scale_factor=16, mode="nearest").expand(-1, 3, -1, -1).contiguous()


# ---- parity


def in_double(weights: Weights, width: int, refinements: int) -> Weights:
    """Our tensors from the authors' tensors, without rounding to a model's float32."""
    table = sources(width, refinements)
    return {ours: source.join(*(weights[key] for key in source.keys)) for ours, source in table.items()}


def loaded(weights: Weights, width: int, refinements: int) -> MADF:
    model = from_authors("madf", weights).double()
    assert isinstance(model, MADF)
    assert (model.options.width, model.options.refinements) == (width, refinements)
    model.load_state_dict(in_double(weights, width, refinements))
    return model


@pytest.mark.parametrize("refinements, training", [(0, True), (1, True), (2, True), (0, False), (2, False)])
def test_float64_parity(refinements: int, training: bool) -> None:
    weights = authors_weights(8, refinements)
    model = loaded(weights, 8, refinements).train(training)
    image, mask = torch.randn(2, 3, 128, 256, dtype=torch.float64), random_mask(2, 128, 256)
    found = model(image, mask).outputs
    expected = released(weights, image, mask, refinements, training)
    assert len(found) == len(expected) == refinements + 1
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-10 * other.abs().max().item())
    torch.stack([one.square().mean() for one in found]).sum().backward()
    if training:  # running statistics are updated exactly once
        own = model.state_dict()
        for key, value in in_double(weights, 8, refinements).items():
            if "running" in key:
                torch.testing.assert_close(own[key], value, rtol=1e-10, atol=1e-12)
            elif "num_batches" in key:
                assert own[key] == 1


# ---- orders (madf.md 13.10): the parity test detects each of these changes


def halves_swapped(tensor: Tensor, size: int, dim: int = 1) -> Tensor:
    first, second = tensor.split([size, tensor.shape[dim] - size], dim)
    return torch.cat([second, first], dim)


@pytest.mark.parametrize("key, size", [
    ("att_conv_4.conv.0.weight", 32),  # skip first
    ("att_conv_1.conv.0.weight", 6),  # e_0 before the decoder's image
    ("dec_ref0_1.weight", 8),  # features before images
    ("filter_gen_1.conv1.0.weight", 3 * 49 * 2),  # image before mask in e_0, dim 0
])  # fmt: skip
def test_another_order_breaks_parity(key: str, size: int) -> None:
    weights = authors_weights(8, 1)
    image, mask = torch.randn(1, 3, 128, 128, dtype=torch.float64), random_mask(1, 128, 128)
    changed = {**weights, key: halves_swapped(weights[key], size, 0 if "conv1.0" in key else 1)}
    model = loaded(changed, 8, 1).train()
    with torch.no_grad():
        found, expected = model(image, mask).outputs, released(weights, image, mask, 1, True)
    assert not torch.allclose(found[-1], expected[-1], rtol=1e-4)


def test_images_come_before_e0_in_the_last_layer() -> None:
    """The order is out_0, out_1, e_0; the test swaps neighbours one pair at a time."""
    weights = authors_weights(8, 2)
    image, mask = torch.randn(1, 3, 128, 128, dtype=torch.float64), random_mask(1, 128, 128)
    for first, second in ((8, 11), (11, 14)):
        order = [*range(8), *range(8, 20)]
        order[first : first + 3], order[second : second + 3] = order[second : second + 3], order[first : first + 3]
        model = loaded({**weights, "dec_ref1_1.weight": weights["dec_ref1_1.weight"][:, order]}, 8, 2).train()
        with torch.no_grad():
            found, expected = model(image, mask).outputs, released(weights, image, mask, 2, True)
        torch.testing.assert_close(found[1], expected[1])
        assert not torch.allclose(found[2], expected[2], rtol=1e-4)


# ---- the authors' file


@pytest.fixture(scope="module")
def listed() -> dict[str, tuple[tuple[int, ...], str]]:
    """Key -> (shape, status) of the released 271 tensors."""
    rows = (Path(__file__).parent / "madf_state_dict.txt").read_text().splitlines()
    table = [row.split("\t") for row in rows if not row.startswith("#")]
    return {
        key: (tuple(int(side) for side in shape.strip("[]").split(",") if side.strip()), status)
        for key, shape, status in table
    }


def test_every_key_is_used_or_listed_as_unused(listed: dict[str, tuple[tuple[int, ...], str]]) -> None:
    used = [key for source in sources(64, 2).values() for key in source.keys]
    unused = dead_norms(64)
    assert len(listed) == 271
    assert len(used) == len(set(used)) == 236
    assert len(unused) == 35
    assert {*used, *unused} == listed.keys()
    assert {key for key, (_, status) in listed.items() if status.startswith("unused")} == unused.keys()
    assert all(shape == listed[key][0] for key, shape in unused.items())
    assert {key: shape for key, (shape, status) in listed.items() if status in ("live", "buffer")} == (
        authors_shapes(64, 2)
    )


@pytest.mark.parametrize("refinements, count", [(2, 271), (1, 203), (0, 135)])
def test_every_tensor_of_ours_has_a_source(refinements: int, count: int) -> None:
    with torch.device("meta"):
        own = create_model("madf", refinements=refinements).state_dict()
    table = sources(64, refinements)
    assert own.keys() == table.keys()
    assert sum(len(source.keys) for source in table.values()) + 35 == count
    shapes = authors_shapes(64, refinements)
    for ours, source in table.items():
        assert [shapes[key] for key in source.keys] == list(source.shapes(tuple(own[ours].shape)))


def whole_file(refinements: int = 2) -> Weights:
    """A stand-in for a checkpoint's table, of a narrow network: 285 entries with two refinements."""
    made = {f"module.model.{key}": value.float() for key, value in authors_weights(8, refinements).items()}
    made |= {f"module.model.{key}": torch.zeros(shape) for key, shape in dead_norms(8).items()}
    return made | {f"module.{key}": torch.zeros(shape) for key, shape in extractor().items()}


def test_a_training_checkpoint_is_accepted() -> None:
    file = whole_file()
    assert len(file) == 285
    model = from_authors("madf", file)
    assert not model.training
    assert not any(value.is_meta for value in model.state_dict().values())
    bare = {key.removeprefix("module.model."): value for key, value in file.items() if "extractor" not in key}
    prefixed = {f"module.{key}": value for key, value in bare.items()}
    lean = {key: value for key, value in bare.items() if "enc_conv" not in key}
    for other in (bare, prefixed, lean):
        again = from_authors("madf", other).state_dict()
        assert all(torch.equal(again[key], value) for key, value in model.state_dict().items())


@pytest.mark.parametrize("key", ["filter_gen_3.conv1.0.bias", "deconv_5.1.running_var", "dec_ref1_1.bias"])
def test_an_incomplete_file_is_refused(key: str) -> None:
    file, name = whole_file(), f"module.model.{key}"
    with pytest.raises(RestorekitError, match=f"no '{key}': it is not a whole file of the released MADF"):
        from_authors("madf", {found: value for found, value in file.items() if found != name})
    with pytest.raises(RestorekitError, match=f"'{key}' .* expected"):
        from_authors("madf", {**file, name: torch.zeros(1, 2)})
    with pytest.raises(RestorekitError, match="unknown key, 'more'"):
        from_authors("madf", {**file, "module.model.more": torch.zeros(1)})


@pytest.mark.parametrize("file", [{}, {"a.weight": torch.zeros(3)}, {"deconv_1.0.weight": torch.zeros(7, 3, 4, 4)}])
def test_a_foreign_file_is_refused(file: Weights) -> None:
    with pytest.raises(RestorekitError, match="the released MADF"):
        from_authors("madf", file)


def test_read_authors_reads_only_the_tensors_of_a_file(tmp_path: Path) -> None:
    checkpoint = {"n_iter": 7, "model": whole_file(0), "gen_optimizer": {"state": {}, "param_groups": [{"lr": 2e-4}]}}
    torch.save(checkpoint, tmp_path / "a.pth")
    assert read_authors(tmp_path / "a.pth").keys() == whole_file(0).keys()
    torch.save(whole_file(0), tmp_path / "b.pth")
    assert read_authors(tmp_path / "b.pth").keys() == whole_file(0).keys()
    torch.save({"model": Path}, tmp_path / "c.pth")
    with pytest.raises(RestorekitError, match=r"c\.pth cannot be read: only tensors .*state_dict\(\)") as refused:
        read_authors(tmp_path / "c.pth")
    for advice in ("\x1b", "weights_only", "get the file again"):  # torch's advice, and advice that does not help here
        assert advice not in str(refused.value)
    torch.save({"n_iter": 7}, tmp_path / "d.pth")
    with pytest.raises(RestorekitError, match="no state dict"):
        read_authors(tmp_path / "d.pth")
    with pytest.raises(RestorekitError, match=r"no authors' file at .*e\.pth"):
        read_authors(tmp_path / "e.pth")
