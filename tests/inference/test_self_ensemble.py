"""The mean of views works for any size and any tiles, and turns with the image."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from restorekit.errors import RestorekitError
from restorekit.inference import Restorer
from restorekit.inference.self_ensemble import mean_of_views, seen, seen_back, trained_views, views_of
from restorekit.models.descriptor import Descriptor
from restorekit.rng import rng_for
from restorekit.shards.augmentation import PairAugmentation

EIGHT = views_of(("horizontal", "vertical", "transpose"))


class Smears(nn.Module):
    """An asymmetric filter of 5 x 5: its output depends on how the image is turned."""

    def __init__(self, takes_mask: bool = False) -> None:
        super().__init__()
        self.descriptor = Descriptor(
            name="smears", tasks=("rain",), takes_mask=takes_mask, min_size=8, size_multiple=4, tiling="exact",
            halo=8, bytes_per_pixel=1000,
        )  # fmt: skip
        torch.manual_seed(0)
        self.layer = nn.Conv2d(3, 3, 5, padding=2)

    def restore(self, image: Tensor, mask: Tensor | None = None) -> Tensor:
        restored = 0.5 * image + 0.5 * self.layer(image).sigmoid()
        return restored if mask is None else torch.where(mask > 0, restored, 0.9 * image)


def image(height: int, width: int) -> np.ndarray:
    return rng_for(0, "views", height, width).random((height, width, 3)).astype(np.float32)


@pytest.mark.parametrize("shape", [(3, 5, 3), (4, 2), (1, 1, 3)])
def test_every_view_is_turned_back_to_the_bit(shape):
    array = rng_for(1, "array").random(shape)
    for view in EIGHT:
        assert np.array_equal(seen_back(seen(array, view), view), array)


def test_the_views_are_all_symmetries_of_a_square():
    square = np.arange(9).reshape(3, 3)
    assert len({seen(square, view).tobytes() for view in EIGHT}) == 8


@pytest.mark.parametrize(
    "flips",
    [(), ("channels",), ("horizontal",), ("horizontal", "channels"), ("transpose", "horizontal"),
     ("vertical", "horizontal"), ("horizontal", "vertical", "transpose"), ("horizontal", "horizontal")],
)  # fmt: skip
def test_the_views_are_exactly_those_of_the_training(flips):
    square = np.arange(17 * 17, dtype=np.uint8).reshape(17, 17, 1).repeat(3, axis=2)
    augment = PairAugmentation(17, flips, ("degraded",))
    trained = {augment({"degraded": square}, 0, epoch, "key")["degraded"].tobytes() for epoch in range(200)}
    assert {np.ascontiguousarray(seen(square, view)).tobytes() for view in views_of(flips)} == trained
    assert views_of(flips)[0] == ()
    assert len(views_of(flips)) == len(trained)


def test_views_come_from_the_record_and_default_to_mirrored():
    assert trained_views({"flips": ["vertical", "channels"]}) == ((), ("vertical",))
    assert trained_views({"flips": []}) == ((),)
    assert trained_views({"run": "imported"}) == ((), ("horizontal",))
    for flips in ("horizontal", ["sideways"], [1], None, [["horizontal"]]):
        with pytest.raises(RestorekitError, match="flips"):
            trained_views({"flips": flips})


@pytest.mark.parametrize("size", [(1, 1), (5, 9), (40, 56), (33, 70)])
def test_a_turned_image_gives_the_turned_result_unlike_a_single_pass(size):
    given = image(*size)
    once, views = Restorer(Smears()), Restorer(Smears(), views=EIGHT)
    restored = views.restore(given)
    assert restored.shape == given.shape
    assert restored.dtype == np.float32
    assert restored.flags.c_contiguous
    if size[0] % 4 == size[1] % 4 == 0:  # otherwise the padding at the bottom and the right differs
        for view in EIGHT[1:]:
            turned = np.ascontiguousarray(seen(given, view))
            assert np.abs(views.restore(turned) - seen(restored, view)).max() < 1e-5
            assert np.abs(once.restore(turned) - seen(once.restore(given), view)).max() > 1e-2


def test_a_single_mirrored_view_works_and_an_empty_list_is_refused():
    given = image(20, 24)
    mirrored = Restorer(Smears(), views=(("horizontal",),)).restore(given)
    wanted = Restorer(Smears()).restore(given[:, ::-1])[:, ::-1]
    np.testing.assert_array_equal(mirrored, wanted)
    assert not np.array_equal(mirrored, Restorer(Smears()).restore(given))
    with pytest.raises(RestorekitError, match="at least one view of the image"):
        Restorer(Smears(), views=())


def test_the_mean_has_a_smaller_error_than_the_views_on_average():
    given, truth = image(40, 56), image(56, 40).swapaxes(0, 1)
    errors = []

    def restore(pixels: np.ndarray, mask: np.ndarray | None, view: int) -> np.ndarray:
        restored = Restorer(Smears()).restore(np.ascontiguousarray(pixels), mask)
        errors.append(np.square(seen_back(restored, EIGHT[view]) - truth).mean())
        return restored

    error = np.square(mean_of_views(restore, given, None, EIGHT) - truth).mean()
    assert len(errors) == 8
    assert error < np.mean(errors)


def test_tiles_equal_the_whole_and_progress_counts_all_views():
    given, told = image(160, 204), []
    whole = Restorer(Smears(), views=EIGHT).restore(given)
    restorer = Restorer(Smears(), tile=64, views=EIGHT)
    tiled = restorer.restore(given, progress=lambda *step: told.append(step))
    assert np.abs(tiled - whole).max() < 1e-5
    tiles = restorer.layout(160, 204).num_tiles
    assert tiles > 1
    assert told == [(done, 8 * tiles) for done in range(1, 8 * tiles + 1)]


def test_a_mask_is_turned_with_its_image_and_unmasked_pixels_stay_to_the_bit():
    given = image(40, 56)
    mask = np.zeros((40, 56), np.float32)
    mask[3:20, 30:50] = 1.0
    restored = Restorer(Smears(takes_mask=True), views=EIGHT).restore(given, mask)
    assert np.array_equal(restored[mask == 0], given[mask == 0])
    everything = Restorer(Smears(takes_mask=True), views=EIGHT).restore(given, np.ones_like(mask))
    assert np.abs(restored - everything)[mask == 1].max() < 1e-6


def test_the_memory_budget_includes_the_sum_over_the_views():
    size = 160 * 204
    budget = size * (1000 + 24) + 12 * size
    assert Restorer(Smears(), memory_bytes=budget).layout(160, 204).num_tiles == 1
    assert Restorer(Smears(), memory_bytes=budget, views=EIGHT).layout(160, 204).num_tiles > 1
