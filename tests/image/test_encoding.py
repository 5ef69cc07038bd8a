"""Images as bytes for shards."""

import numpy as np
import pytest

from restorekit.errors import RestorekitError
from restorekit.image import decode_grey, decode_rgb, encode_grey, encode_rgb
from restorekit.rng import rng_for


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
