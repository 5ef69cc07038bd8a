"""The restorer takes images of any size, whole or in tiles, within its memory."""

import gc
import weakref

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from restorekit.errors import RestorekitError
from restorekit.inference import Restorer
from restorekit.models import create_model
from restorekit.models.descriptor import Descriptor
from restorekit.rng import rng_for


def describe(name: str, **changes: object) -> Descriptor:
    values = {
        "tasks": ("rain",), "takes_mask": False, "min_size": 1, "size_multiple": 1, "tiling": "exact", "halo": 0,
        "bytes_per_pixel": 1000, **changes,
    }  # fmt: skip
    return Descriptor(name=name, **values)  # type: ignore[arg-type]


class Network(nn.Module):
    """Records the most pixels given to it at once."""

    descriptor = describe("network")

    def __init__(self) -> None:
        super().__init__()
        self.largest = 0
        self.calls = 0
        self.weight = nn.Parameter(torch.ones(()))

    def restore(self, image: Tensor, mask: Tensor | None = None) -> Tensor:
        assert image.dtype == torch.float32
        assert image.shape[1] == 3
        least, multiple = self.descriptor.min_size, self.descriptor.size_multiple
        assert min(image.shape[2:]) >= least
        assert image.shape[2] % multiple == image.shape[3] % multiple == 0
        self.largest = max(self.largest, image[:, 0].numel())
        self.calls += 1
        return self(image, mask).clamp(0, 1)


class Identity(Network):
    def forward(self, image: Tensor, mask: Tensor | None) -> Tensor:
        return image * self.weight


class Convolutions(Network):
    """Three 5 x 5 convolutions with zero padding: a context of six pixels."""

    descriptor = describe("convolutions", halo=6)

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(
            nn.Conv2d(3, 8, 5, padding=2), nn.ReLU(), nn.Conv2d(8, 8, 5, padding=2), nn.ReLU(),
            nn.Conv2d(8, 3, 5, padding=2),
        )  # fmt: skip

    def forward(self, image: Tensor, mask: Tensor | None) -> Tensor:
        return 0.5 * image + self.layers(image)


class Strided(Network):
    """Down by four and up again: sizes are multiples of four, and the phase of a tile matters."""

    descriptor = describe("strided", halo=24, size_multiple=4, min_size=16)

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.down = nn.Conv2d(3, 8, 7, stride=4, padding=2)
        self.middle = nn.Conv2d(8, 8, 3, padding=1)
        self.up = nn.ConvTranspose2d(8, 3, 4, stride=4)

    def forward(self, image: Tensor, mask: Tensor | None) -> Tensor:
        return image + self.up(F.relu(self.middle(F.relu(self.down(image)))))


class Brightness(Network):
    """Adds the mean of its input, so that tiles differ from the whole image and from each other."""

    descriptor = describe("brightness", tiling="approximate", halo=4)

    def forward(self, image: Tensor, mask: Tensor | None) -> Tensor:
        return 0.5 * image + 0.5 * image.mean((2, 3), keepdim=True)


class Filling(Network):
    """Paints missing pixels grey, and changes the other pixels a little."""

    descriptor = describe("filling", takes_mask=True, halo=2)

    def forward(self, image: Tensor, mask: Tensor | None) -> Tensor:
        assert mask is not None
        assert mask.shape == (len(image), 1, *image.shape[2:])
        return torch.where(mask > 0, torch.full_like(image, 0.5), image * 0.9)


class Small(Identity):
    """A GPU with room for few pixels."""

    room = 5000

    def __init__(self) -> None:
        super().__init__()
        self.tried: list[tuple[int, ...]] = []

    def forward(self, image: Tensor, mask: Tensor | None) -> Tensor:
        self.tried.append(tuple(image.shape))
        if image[:, 0].numel() > self.room:
            raise torch.OutOfMemoryError("out of memory")
        return super().forward(image, mask)


SIZES = [(1, 1), (1, 2), (3, 4000), (37, 31), (100, 1), (160, 200)]


def image(height: int, width: int) -> np.ndarray:
    return rng_for(0, "image", height, width).random((height, width, 3)).astype(np.float32)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("network", [Identity, Convolutions, Strided, Brightness])
@pytest.mark.parametrize("tile", [None, 32, 64])
def test_every_size_is_restored_to_its_own_size(size, network, tile):
    given = image(*size)
    restored = Restorer(network(), tile=tile).restore(given)
    assert restored.shape == given.shape
    assert restored.dtype == np.float32
    assert restored.flags.c_contiguous
    assert restored.min() >= 0.0
    assert restored.max() <= 1.0
    if network is Identity:
        assert np.allclose(restored, given, atol=1e-6)


@pytest.mark.parametrize("network", [Convolutions, Strided])
@pytest.mark.parametrize("size", [(160, 200), (157, 203), (96, 500), (17, 300)])
@pytest.mark.parametrize("tile", [64, 100])
def test_tiled_equals_whole_where_the_context_is_complete(network, size, tile):
    model = network()
    whole = Restorer(model).restore(image(*size))
    tiled = Restorer(model, tile=tile).restore(image(*size))
    assert np.abs(tiled - whole).max() < 1e-5


def test_statistics_of_the_whole_image_leave_no_seam():
    given = np.linspace(0, 1, 400, dtype=np.float32)[None, :, None] * np.ones((60, 1, 3), np.float32)
    restored = Restorer(Brightness(), tile=128).restore(given)
    steps = np.abs(np.diff(restored[30, :, 0]))
    assert steps.max() < 0.02  # a hard seam would be a step of 0.1


@pytest.mark.parametrize("pixels", [3000, 8000, 20_000, 10**6])
def test_the_memory_budget_decides_the_tiles(pixels):
    model = Convolutions()
    per_pixel = model.descriptor.bytes_per_pixel + 24
    restorer = Restorer(model, memory_bytes=pixels * per_pixel + 12 * 160 * 200)
    restored = restorer.restore(image(160, 200))
    assert model.largest <= pixels
    assert (model.calls == 1) == (pixels >= 160 * 200)
    assert np.abs(restored - Restorer(Convolutions()).restore(image(160, 200))).max() < 1e-5


def test_the_error_of_a_too_small_budget_has_the_needed_memory():
    with pytest.raises(RestorekitError, match=r"at least 32 pixels a side .* allow more memory"):
        Restorer(Convolutions(), memory_bytes=500_000).restore(image(160, 200))
    with pytest.raises(RestorekitError, match="above 0"):
        Restorer(Convolutions(), memory_bytes=0)


def test_a_users_tile_is_kept_whatever_the_budget():
    model = Convolutions()
    Restorer(model, memory_bytes=1, tile=128).restore(image(160, 200))
    assert model.largest == 128 * 128


@pytest.mark.parametrize("network", [Identity, Convolutions, Strided, Brightness, Filling])
def test_tiles_together_give_what_they_give_one_by_one(network):
    given = image(157, 203)
    mask = (rng_for(0, "holes").random((157, 203)) < 0.3).astype(np.float32) if network is Filling else None
    alone, together = network(), network()
    one_by_one = Restorer(alone, memory_bytes=1, tile=64).restore(given, mask)
    assert alone.largest == 64 * 64
    assert np.abs(Restorer(together, tile=64).restore(given, mask) - one_by_one).max() <= 1e-6
    assert together.largest > 3 * 64 * 64
    assert together.calls < alone.calls


def test_the_free_memory_decides_how_many_tiles_go_together():
    for count in (1, 2, 3):
        model = Convolutions()
        memory = (count * 64 * 64 + 100) * (model.descriptor.bytes_per_pixel + 24) + 12 * 160 * 200
        Restorer(model, memory_bytes=memory, tile=64).restore(image(160, 200))
        assert model.largest == count * 64 * 64


def test_a_network_whose_images_influence_each_other_gets_tiles_one_by_one():
    class Together(Identity):
        descriptor = describe("together", batches=False)

    model = Together()
    Restorer(model, tile=64).restore(image(160, 200))
    assert model.largest == 64 * 64
    assert not create_model(
        "dmgn", variant="rain", width=2, trunk="none", use_ndm=True, ndm_batch_stats=True
    ).descriptor.batches


def test_running_out_of_gpu_memory_halves_the_tile_until_it_fits():
    model = Small()
    given = image(160, 200)
    assert np.allclose(Restorer(model).restore(given), given, atol=1e-6)
    assert 1024 < model.largest <= 160 * 200
    attempts: list[tuple[int, int]] = []
    Restorer(model).restore(given, progress=lambda done, total: attempts.append((done, total)))
    assert attempts == [(done, attempts[0][1]) for done in range(1, attempts[0][1] + 1)]


def test_a_second_photo_is_not_tried_as_the_first_did_not_fit():
    model = Small()
    restorer = Restorer(model)
    given = image(160, 200)
    restorer.restore(given)
    failed = [shape for shape in model.tried if shape[0] * shape[2] * shape[3] > model.room]
    assert failed
    model.tried.clear()
    assert np.allclose(restorer.restore(image(200, 160)), image(200, 160), atol=1e-6)
    assert all(shape[0] * shape[2] * shape[3] <= model.room for shape in model.tried)
    assert restorer.layout(30, 40).num_tiles == 1


def test_fewer_tiles_together_are_tried_before_smaller_tiles():
    model = Small()
    model.room = 2 * 48 * 48 + 10
    given = image(160, 200)
    assert np.allclose(Restorer(model, tile=48).restore(given), given, atol=1e-6)
    assert {shape[2:] for shape in model.tried} == {(48, 48)}
    assert [shape[0] for shape in model.tried[:4]] == sorted((shape[0] for shape in model.tried[:4]), reverse=True)
    assert model.largest <= 64 * 160 * 200


def test_a_users_tile_is_not_halved():
    with pytest.raises(RestorekitError, match="tiles of 96 pixels do not fit"):
        Restorer(Small(), tile=96).restore(image(160, 200))


def test_a_gpu_without_room_for_any_tile_is_refused():
    model = Small()
    model.room = 10
    with pytest.raises(RestorekitError, match="take cpu"):
        Restorer(model).restore(image(160, 200))


def test_progress_counts_every_tile():
    seen: list[tuple[int, int]] = []
    Restorer(Convolutions(), tile=64).restore(image(160, 200), progress=lambda *step: seen.append(step))
    assert seen == [(done, len(seen)) for done in range(1, len(seen) + 1)]
    assert len(seen) > 4


def test_masks_reach_the_model_and_valid_pixels_are_unchanged_to_the_bit():
    given, mask = image(157, 203), np.zeros((157, 203), np.float32)
    mask[20:90, 50:180] = 1
    for tile in (None, 64):
        restored = Restorer(Filling(), tile=tile).restore(given, mask)
        assert np.array_equal(restored[mask == 0], given[mask == 0])
        assert np.allclose(restored[mask == 1], 0.5)


def test_a_mask_is_required_by_models_that_take_one_and_refused_by_others():
    with pytest.raises(RestorekitError, match="needs a mask"):
        Restorer(Filling()).restore(image(40, 40))
    with pytest.raises(RestorekitError, match="takes no mask"):
        Restorer(Identity()).restore(image(40, 40), np.zeros((40, 40), np.float32))


def test_only_one_tile_is_held_at_a_time():
    class Watched(Identity):
        def __init__(self) -> None:
            super().__init__()
            self.given: list[weakref.ref[Tensor]] = []

        def forward(self, image: Tensor, mask: Tensor | None) -> Tensor:
            gc.collect()
            assert not any(reference() is not None for reference in self.given)
            self.given.append(weakref.ref(image))
            result = super().forward(image, mask)
            self.given.append(weakref.ref(result))
            return result

    model = Watched()
    Restorer(model, memory_bytes=1, tile=64).restore(image(160, 200))
    assert model.calls > 4
    model.given.clear()
    Restorer(model, tile=32).restore(image(64, 640))
    assert len(model.given) > 2


def test_the_input_is_not_changed_and_the_result_repeats():
    given = image(157, 203)
    before = given.copy()
    restorer = Restorer(Convolutions(), tile=64)
    assert np.array_equal(restorer.restore(given), restorer.restore(given))
    assert np.array_equal(given, before)


def test_autocast_around_the_restorer_still_gives_float32():
    with torch.autocast("cpu", dtype=torch.bfloat16):
        restored = Restorer(Convolutions()).restore(image(40, 40))
    assert restored.dtype == np.float32


def test_values_that_are_not_finite_are_refused_in_image_and_result():
    with pytest.raises(RestorekitError, match="not finite"):
        Restorer(Identity()).restore(np.full((40, 40, 3), np.nan, np.float32))
    model = Identity()
    model.weight.data.fill_(float("nan"))
    with pytest.raises(RestorekitError, match="not finite"):
        Restorer(model).restore(image(40, 40))


@pytest.mark.parametrize(
    "wrong", [np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4), np.float32), np.zeros((0, 4, 3), np.float32)]
)
def test_arrays_of_the_wrong_shape_or_type_are_refused(wrong):
    with pytest.raises(ValueError, match="float32"):
        Restorer(Identity()).restore(wrong)
