"""Conversions, resizing, and images as bytes for shards."""

import numpy as np
import pytest

from restorekit.errors import RestorekitError
from restorekit.image import decode_grey, decode_rgb, encode_grey, encode_rgb, resize_short_side, to_float, to_uint8
from restorekit.rng import rng_for


def test_every_8_bit_value_survives_the_way_to_float_and_back():
    values = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert np.array_equal(to_uint8(to_float(values)), values)
    assert to_float(values).dtype == np.float32
    assert to_float(values).max() == 1.0


def test_values_outside_the_range_are_clipped():
    assert to_uint8(np.array([[-0.3, 1.7]], np.float32)).tolist() == [[0, 255]]


def test_rounding_is_to_the_nearest():
    assert to_uint8(np.array([0.49, 0.51, 254.49, 254.51], np.float32) / 255).tolist() == [0, 1, 254, 255]


def test_integers_are_not_taken_for_floats():
    with pytest.raises(TypeError):
        to_float(np.zeros((2, 2), np.int64))
    with pytest.raises(TypeError):
        to_uint8(np.zeros((2, 2), np.int64))


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("size", [(37, 31), (31, 37), (40, 40), (3, 500), (1, 1)])
@pytest.mark.parametrize("short_side", [1, 17, 31, 64])
def test_the_short_side_is_met_and_the_aspect_kept(dtype, size, short_side):
    image = rng_for(0, "resize").random((*size, 3)).astype(np.float32)
    image = image if dtype == np.float32 else to_uint8(image)
    resized = resize_short_side(image, short_side)
    assert min(resized.shape[:2]) == short_side
    assert resized.dtype == dtype
    assert max(resized.shape[:2]) == pytest.approx(max(size) * short_side / min(size), abs=0.5)
    if dtype == np.float32:
        assert resized.min() >= 0.0
        assert resized.max() <= 1.0


def test_a_flat_image_stays_flat_and_shrinking_keeps_the_mean():
    flat = np.full((40, 60, 3), 0.25, np.float32)
    assert np.allclose(resize_short_side(flat, 13), 0.25, atol=1e-6)
    assert np.allclose(resize_short_side(flat, 90), 0.25, atol=1e-6)
    image = rng_for(1, "mean").random((64, 96, 3)).astype(np.float32)
    assert resize_short_side(image, 16).mean() == pytest.approx(image.mean(), abs=1e-5)


def test_a_disparity_keeps_its_range_when_it_grows():
    disparity = rng_for(3, "disparity").random((20, 30)).astype(np.float32) * 50 + 7
    disparity[3:5, 4:9] = np.nan
    grown = resize_short_side(disparity, 50)
    assert np.isnan(grown).any()
    assert np.nanmax(grown) > 40
    assert np.nanmin(disparity) <= np.nanmin(grown)
    assert np.nanmax(grown) <= np.nanmax(disparity)


def test_the_same_size_is_the_same_image():
    image = rng_for(2, "same").random((20, 30, 3)).astype(np.float32)
    assert resize_short_side(image, 20) is image


def pixels(*shape: int) -> np.ndarray:
    return rng_for(0, "encoding").integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize("encoding", ["png", "webp", "bmp"])
@pytest.mark.parametrize("size", [(1, 1), (37, 31), (64, 128)])
def test_lossless_encodings_lose_nothing(encoding, size):
    image = pixels(*size, 3)
    assert np.array_equal(decode_rgb(encode_rgb(image, encoding)), image)


@pytest.mark.parametrize("encoding", ["png", "webp", "bmp", "jpeg"])
def test_equal_arrays_give_equal_bytes(encoding):
    image = pixels(37, 31, 3)
    assert encode_rgb(image, encoding) == encode_rgb(np.asfortranarray(image), encoding)


def test_jpeg_keeps_colour_at_full_resolution():
    image = np.zeros((16, 16, 3), np.uint8)
    image[:, ::2] = (255, 0, 0)
    image[:, 1::2] = (0, 0, 255)
    assert np.abs(decode_rgb(encode_rgb(image, "jpeg")).astype(int) - image).mean() < 8


@pytest.mark.parametrize("encoding", ["png", "webp", "bmp"])
def test_masks_survive(encoding):
    mask = pixels(37, 31)
    assert np.array_equal(decode_grey(encode_grey(mask, encoding)), mask)


@pytest.mark.parametrize("data", [b"", b"no image", encode_rgb(pixels(64, 64, 3), "webp")[:40]])
def test_bytes_that_are_no_image_are_refused(data):
    with pytest.raises(RestorekitError, match="cannot be decoded"):
        decode_rgb(data)


def test_other_types_and_shapes_are_refused():
    with pytest.raises(TypeError):
        encode_rgb(np.zeros((4, 4, 3), np.float32), "png")
    with pytest.raises(TypeError):
        encode_rgb(pixels(4, 4), "png")
    with pytest.raises(TypeError):
        encode_grey(pixels(4, 4, 3))
