"""Layouts cover large images with tiles that keep the network's context and the budget."""

import numpy as np
import pytest

from restorekit.errors import RestorekitError
from restorekit.inference.tiling import Layout, layout_for_budget, layout_for_tile
from restorekit.models.descriptor import Descriptor
from restorekit.rng import rng_for


def descriptor(multiple: int = 1, halo: int = 7, tiling: str = "exact", min_size: int = 1) -> Descriptor:
    return Descriptor("made", ("rain",), False, min_size, multiple, tiling, halo, 1000)


def summed(layout: Layout) -> np.ndarray:
    total = np.zeros((layout.rows.length, layout.columns.length))
    for tile in layout.tiles():
        total[tile.window] += np.outer(tile.rows, tile.columns)
    return total


def layouts() -> list[Layout]:
    """Layouts of every kind, random but fixed: sizes, tiles, multiples, context, both kinds of tiling."""
    rng = rng_for(0, "layouts")
    found = []
    for _ in range(150):
        multiple = int(rng.choice([1, 2, 4, 16]))
        made = descriptor(multiple, int(rng.integers(0, 60)), str(rng.choice(["exact", "approximate"])))
        height, width = (int(n) * multiple for n in rng.integers(1, 900 // multiple, 2))
        if rng.random() < 0.5:
            tile = -(-int(rng.integers(32, 300)) // multiple) * multiple
            found.append(layout_for_tile(height, width, tile, made))
        else:
            found.append(layout_for_budget(height, width, int(rng.integers(48 * 48, 90_000)), made))
    return found


def test_weights_add_up_to_one_at_every_pixel():
    for layout in layouts():
        assert np.abs(summed(layout) - 1).max() < 1e-6
        assert all(tile.rows.min() >= 0 and tile.columns.min() >= 0 for tile in layout.tiles())


def test_tiles_lie_inside_the_image_and_on_its_multiples():
    for layout in layouts():
        for axis in (layout.rows, layout.columns):
            assert axis.starts[0] == 0
            assert axis.starts[-1] + axis.size == axis.length
            assert list(axis.starts) == sorted(set(axis.starts))


@pytest.mark.parametrize("multiple", [1, 4])
@pytest.mark.parametrize("tiling", ["exact", "approximate"])
def test_a_tile_has_no_weight_within_the_context_of_its_inner_ends(multiple, tiling):
    made = descriptor(multiple, halo=9, tiling=tiling)
    layout = layout_for_tile(400, 644, 96, made)
    assert layout.num_tiles > 20
    for tile in layout.tiles():
        for start, weights, axis in ((tile.top, tile.rows, layout.rows), (tile.left, tile.columns, layout.columns)):
            if start > 0:
                assert not weights[:9].any()
            if start + axis.size < axis.length:
                assert not weights[-9:].any()
            assert start % multiple == 0


def test_context_longer_than_a_tile_is_shortened_and_the_tile_is_not():
    layout = layout_for_tile(300, 300, 64, descriptor(halo=500, tiling="approximate"))
    assert layout.rows.size == layout.columns.size == 64
    assert np.abs(summed(layout) - 1).max() < 1e-6


def test_a_users_tile_is_kept():
    layout = layout_for_tile(1000, 40, 128, descriptor())
    assert (layout.rows.size, layout.columns.size) == (128, 40)
    with pytest.raises(RestorekitError, match="at least 32"):
        layout_for_tile(100, 100, 31, descriptor())
    with pytest.raises(RestorekitError, match="48 or 64, not 50"):
        layout_for_tile(96, 96, 50, descriptor(multiple=16))


def test_tiles_keep_to_the_budget_and_use_it():
    rng = rng_for(1, "budget")
    for _ in range(200):
        multiple = int(rng.choice([1, 4]))
        height, width = (int(n) * multiple for n in rng.integers(1, 700, 2))
        budget = int(rng.integers(2000, 200_000))
        layout = layout_for_budget(height, width, budget, descriptor(multiple))
        assert layout.tile_pixels <= budget
        if height * width <= budget:
            assert layout.num_tiles == 1
        else:
            assert layout.num_tiles > 1


def test_long_and_narrow_images_get_long_tiles():
    layout = layout_for_budget(3, 4000, 3000, descriptor())
    assert layout.rows.size == 3
    assert layout.columns.size > 600


def test_a_budget_below_the_smallest_tile_is_refused():
    with pytest.raises(RestorekitError, match="at least 32"):
        layout_for_budget(500, 500, 500, descriptor())
    with pytest.raises(RestorekitError, match="at least 64"):
        layout_for_budget(500, 500, 50 * 50, descriptor(min_size=64))
