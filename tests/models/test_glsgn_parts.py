"""The parts of GLSGN: patches, pyramid, Patch Norm, attention, fusion."""

from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from restorekit.models import create_model
from restorekit.models.glsgn.grid import Grid, cut, join, pad, resize, resized_window
from restorekit.models.glsgn.network import GRIDS
from restorekit.models.glsgn.norm import Gathered, Moments, PatchNorm
from restorekit.models.glsgn.pathway import ResidualBlock, hear
from restorekit.models.glsgn.pyramid import Fusion, down, high, up

EVERY_GRID = [*GRIDS, Grid(2, 4, (1, 2)), Grid(4, 2, (2, 1)), Grid(1, 1, (1, 1))]


def noise(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(3), dtype=dtype)


@pytest.mark.parametrize("grid", EVERY_GRID, ids=str)
def test_cut_and_join_are_inverses_and_run_row_by_row(grid):
    frames = noise(2, 3, 8 * grid.rows, 12 * grid.columns)
    patches = grid.cut(frames)
    assert patches.shape == (2 * grid.rows * grid.columns, 3, 8, 12)
    assert torch.equal(join(patches, grid.rows, grid.columns), frames)
    for number, patch in enumerate(patches):
        image, place = divmod(number, grid.rows * grid.columns)
        row, column = divmod(place, grid.columns)
        assert torch.equal(patch, frames[image, :, 8 * row : 8 * row + 8, 12 * column : 12 * column + 12])
    regions = grid.to_regions(patches)
    assert regions.shape[0] == 2 * grid.num_regions
    assert torch.equal(regions, cut(frames, *grid.regions))
    assert torch.equal(grid.join(regions), frames)


@pytest.mark.parametrize("grid", EVERY_GRID, ids=str)
def test_the_regions_cover_all_patches(grid):
    labels = torch.arange(grid.rows * grid.columns).view(-1, 1, 1, 1).float()
    for number, region in enumerate(grid.to_regions(labels)):
        named = [[float(row * grid.columns + column) for row, column in block] for block in grid.patches_of(number)]
        assert region[0].tolist() == named


def test_the_regions_of_a_path_are_the_patches_of_the_next():
    for path, after in pairwise(GRIDS):
        assert path.regions == (after.rows, after.columns)
    assert [grid.regions for grid in GRIDS] == [(2, 2), (2, 1), (1, 1)]


@pytest.mark.parametrize("link", [(17, 18), (33, 36), (65, 71), (9, 9)])
def test_a_resized_window_equals_a_window_of_the_resized_frame(link):
    maps, size, grid = noise(1, 2, *link), (65, 71), GRIDS[0]
    padded = pad(resize(maps, size), grid.padded(*size))
    rows, columns = range(60, 84), range(-8, 80)
    window = resized_window(maps, size, grid.padded(*size), rows, columns)
    around = F.pad(padded, (8, 0, 0, 4), mode="replicate")
    assert torch.allclose(window, around[:, :, 60:84, :88], atol=1e-6)


@pytest.mark.parametrize("scale", [1, 4])
def test_a_patch_sees_its_neighbours_up_to_the_overlap(scale):
    frames, grid = noise(2, 3, 64, 96), Grid(4, 2, (4, 2), overlap=8)
    margin, around = 8 // scale, F.pad(frames, (8 // scale,) * 4, mode="replicate")
    patches = grid.cut(frames, scale).unflatten(0, (2, 4, 2))
    assert torch.equal(patches[1, 2, 1], around[1, :, 32 : 48 + 2 * margin, 48 : 96 + 2 * margin])
    assert torch.equal(grid.framed(frames, scale), around)
    assert grid.window((64, 96), (2, 1), margin) == (range(32 - margin, 48 + margin), range(48 - margin, 96 + margin))


def test_joining_patches_without_their_overlap_gives_the_frame():
    frames, grid = noise(2, 3, 64, 96), Grid(4, 2, (4, 2), overlap=8)
    assert torch.equal(grid.join(grid.to_regions(grid.inner(grid.cut(frames, 4)))), frames)


@pytest.mark.parametrize("size", [(64, 64), (135, 239), (270, 478), (7, 3)])
def test_the_pyramid_keeps_constants_and_equals_the_binomial_filter(size):
    constant = torch.full((1, 3, *size), 0.3, dtype=torch.float64)
    assert torch.allclose(down(constant), constant[..., ::2, ::2], atol=1e-15, rtol=0)
    assert torch.allclose(up(down(constant), size), constant, atol=1e-15, rtol=0)
    image = noise(1, 3, *size, dtype=torch.float64)
    taps = torch.tensor([1.0, 4, 6, 4, 1], dtype=torch.float64)
    kernel = (torch.outer(taps, taps) / 256).expand(3, 1, 5, 5)
    direct = F.conv2d(F.pad(image, (2, 2, 2, 2), mode="reflect"), kernel, groups=3)[..., ::2, ::2]
    assert torch.allclose(down(image), direct, atol=1e-14)
    small = down(image)
    zeros = torch.zeros(1, 3, 2 * small.shape[2], 2 * small.shape[3], dtype=torch.float64)
    zeros[..., ::2, ::2] = small
    direct = F.conv2d(F.pad(zeros, (2, 2, 2, 2), mode="reflect"), 4 * kernel, groups=3)[..., : size[0], : size[1]]
    assert torch.allclose(up(small, size), direct, atol=1e-14)


def plain(width: int, masks: tuple[float, float, float], dtype: torch.dtype) -> Fusion:
    """A fusion with constant masks."""
    fusion = Fusion(width).to(dtype)
    for conv, value in zip((fusion.hand1.last, fusion.hand2.last, fusion.last), masks, strict=True):
        nn.init.zeros_(conv.weight)
        nn.init.constant_(conv.bias, value)  # type: ignore[arg-type]
    return fusion


@pytest.mark.parametrize("size", [(256, 384), (270, 478), (65, 71)])
@pytest.mark.parametrize("dtype, bound", [(torch.float32, 1e-6), (torch.float64, 1e-14)])
def test_rebuilding_an_image_from_its_pyramid_gives_the_image(size, dtype, bound):
    fine = noise(1, 3, *size, dtype=dtype)
    middle = down(fine)
    base = down(middle)
    anything = noise(1, 3, *base.shape[2:], dtype=dtype)
    restored = plain(4, (1.0, 1.0, 0.0), dtype)(fine, middle, base, anything)
    assert (restored - fine).abs().max() < bound
    smooth = plain(4, (0.0, 0.0, 0.0), dtype)(fine, middle, base, anything)
    expected = up(up(base, (middle.shape[2], middle.shape[3])), size)
    assert torch.equal(smooth, expected)


def test_each_mask_controls_the_detail_of_its_own_scale():
    fine, middle, base, coarse = (noise(1, 3, 64 // s, 96 // s, dtype=torch.float64) for s in (1, 2, 4, 4))
    nothing = plain(4, (0.0, 0.0, 0.0), torch.float64)(fine, middle, base, coarse)
    third = plain(4, (0.0, 0.0, 0.5), torch.float64)(fine, middle, base, coarse)
    assert torch.allclose(third - nothing, up(up(0.5 * high(coarse), (32, 48)), (64, 96)), atol=1e-14)
    first = plain(4, (0.5, 0.0, 0.0), torch.float64)(fine, middle, base, coarse)
    assert torch.allclose(first - nothing, 0.5 * high(fine), atol=1e-14)


def test_initial_masks_are_close_to_a_plain_pyramid():
    torch.manual_seed(0)
    masks = Fusion(32).masks(noise(1, 3, 16, 24) - 0.5, noise(1, 3, 16, 24), (31, 47))
    for mask, value in zip(masks, (1.0, 1.0, 0.0), strict=True):
        assert (mask - value).abs().max() < 0.01


def norm(kind: str, channels: int = 5) -> PatchNorm:
    made = PatchNorm(channels, kind)  # type: ignore[arg-type]
    made.weight.data.copy_(torch.linspace(0.5, 2.0, channels))
    made.bias.data.copy_(torch.linspace(-1.0, 1.0, channels))
    return made


def test_patch_norm_covers_all_regions_of_one_image_only():
    features = torch.cat([noise(4, 5, 6, 8) * scale + scale for scale in (1.0, 9.0)])
    features[2] += 3  # one region differs from the others
    made = norm("joint")
    unit = (made(features, 4) - made.bias.view(-1, 1, 1)) / made.weight.view(-1, 1, 1)
    for image in unit.split(4):
        assert image.mean((0, 2, 3)).abs().max() < 1e-5
        assert (image.var((0, 2, 3), correction=0) - 1).abs().max() < 1e-3
    assert unit[:4].mean((2, 3)).abs().max() > 0.3  # not per region
    other = features.clone()
    other[4:] = 0
    assert torch.equal(made(other, 4)[:4], made(features, 4)[:4])


def test_one_region_equals_instance_norm_and_a_constant_gives_the_bias():
    features = noise(3, 5, 6, 8)
    expected = F.instance_norm(features, weight=norm("joint").weight, bias=norm("joint").bias)
    assert torch.allclose(norm("joint")(features, 1), expected, atol=1e-5)
    assert torch.allclose(norm("instance")(features, 3), expected, atol=1e-5)
    flat = norm("joint")(torch.full((4, 5, 6, 8), 7.0), 4)
    assert torch.allclose(flat, norm("joint").bias.view(1, -1, 1, 1).expand_as(flat), atol=1e-4)


@pytest.mark.parametrize("kind", ["joint", "instance"])
def test_two_passes_over_parts_equal_the_direct_form(kind):
    features = noise(4, 5, 30, 8) * 3 + 200  # far from zero: squares would cancel
    made = norm(kind)
    streamed = Gathered(made, 4)
    for region, one in enumerate(features.split(1)):
        for rows in one.split(7, dim=2):
            streamed.add(region, rows)
    found = torch.cat([streamed(region, one) for region, one in enumerate(features.split(1))])
    with torch.no_grad():
        unasked = made(features, 4)
    direct = made.double()(features.double(), 4)
    assert (found - direct).abs().max() < 1e-4
    assert (unasked - direct).abs().max() < 1e-4


def test_moments_do_not_depend_on_the_order():
    parts = [noise(1, 3, 4, 9) * scale for scale in (1, 5, 2)]
    forth, back = Moments(), Moments()
    for part in parts:
        forth.add(part)
    for part in reversed(parts):
        back.add(part)
    everything = torch.cat([part.flatten(2) for part in parts], dim=2).double()
    for moments in (forth, back):
        assert torch.allclose(moments.mean, everything.mean((0, 2)), atol=1e-6)
        assert torch.allclose(moments.squares / moments.count, everything.var((0, 2), correction=0), atol=1e-5)


def test_a_missing_gate_is_zero_and_padding_repeats_the_border():
    frame, grid = noise(1, 3, 135, 239), Grid(2, 2, (1, 2))
    heard = hear((noise(1, 1, 135, 239), None), frame, grid)
    assert heard.shape == (1, 2, 34, 60)
    assert torch.equal(heard[:, 1], torch.zeros(1, 34, 60))
    path3 = hear((noise(1, 1, 68, 120), None), noise(1, 3, 68, 120), Grid(2, 1, (2, 1)))
    assert path3.shape == (1, 2, 18, 30)
    assert torch.equal(path3[:, :, 17], path3[:, :, 16])


@pytest.mark.parametrize("slope", [0.0, 0.2])
def test_the_blocks_of_every_path_have_the_slope_of_the_options(slope: float) -> None:
    model = create_model("glsgn", width=2, negative_slope=slope)
    blocks = [module for module in model.modules() if isinstance(module, ResidualBlock)]
    assert len(blocks) == 49
    block, features = blocks[-1], noise(1, 2, 8, 8)
    with torch.no_grad():
        block.first.weight.mul_(0.1)
        block.first.bias.fill_(-1.0)  # every value before the activation is below 0
    expected = features + block.second(slope * block.first(features))
    torch.testing.assert_close(block(features), expected)
    block(features).sum().backward()
    assert (block.first.bias.grad.abs().max() > 0) == (slope > 0)  # only with a slope can the block recover
