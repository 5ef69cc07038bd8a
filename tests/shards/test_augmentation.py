"""All images of a sample get the same crop and flips."""

from collections import Counter

import numpy as np
import pytest

from restorekit.shards.augmentation import CHANNELS, FLIPS, PairAugmentation


@pytest.mark.parametrize("flip", [*FLIPS, CHANNELS])
def test_every_flip_keeps_the_images_of_a_sample_together(flip: str) -> None:
    rng = np.random.default_rng(2)
    clean = rng.integers(0, 256, (20, 20, 3), np.uint8)
    images = {"degraded": clean ^ 255, "clean": clean, "mask": clean[..., 0]}
    augment = PairAugmentation(12, (flip,), tuple(images))
    changed = 0
    for number in range(16):
        found = augment(images, 1, 0, f"key {number}")
        cut = PairAugmentation(12, (), tuple(images))(images, 1, 0, f"key {number}")
        np.testing.assert_array_equal(found["degraded"] ^ 255, found["clean"])
        if flip == CHANNELS:
            np.testing.assert_array_equal(found["mask"], cut["mask"])
            orders = [[cut["clean"][..., channel].tolist() for channel in range(3)].index(one.tolist()) for one in
                      np.moveaxis(found["clean"], 2, 0)]  # fmt: skip
            assert sorted(orders) == [0, 1, 2]
        else:
            assert any((found["clean"][..., channel] == found["mask"]).all() for channel in range(3))
        changed += not np.array_equal(found["clean"], cut["clean"])
    assert 2 <= changed <= 15


def test_flips_are_drawn_independently_of_each_other_and_of_the_crop() -> None:
    rows, columns = np.mgrid[:20, :20].astype(np.uint8)
    image = np.stack([rows, columns, np.zeros_like(rows)], axis=2)
    augment = PairAugmentation(9, tuple(FLIPS), ("clean",))  # twelve places in each direction
    counts: Counter[tuple[bool, ...]] = Counter()
    for number in range(3200):
        cut = augment({"clean": image}, 1, 0, f"key {number}")["clean"].astype(int)
        transposed = cut[0, 0, 0] != cut[0, -1, 0]
        top, left = cut[..., 0].min(), cut[..., 1].min()
        upright = bool(cut[0, 0, 0] == top), bool(cut[0, 0, 1] == left)
        counts[(bool(transposed), *upright, bool(top < 6), bool(left < 6))] += 1
    assert len(counts) == 32
    assert 65 <= min(counts.values()) <= max(counts.values()) <= 140  # the mean is 100, the standard deviation 10


def test_a_pair_gets_one_crop_and_flip_that_depend_on_its_key() -> None:
    image = np.random.default_rng(0).integers(0, 256, (50, 60, 3), dtype=np.uint8)
    augment = PairAugmentation(24, ("horizontal", "vertical", "transpose"), ("degraded", "clean", "mask"))
    seen = set()
    for key in map(str, range(40)):
        images = {"degraded": image, "clean": 255 - image, "mask": image[:, :, 0]}
        cut = augment(images, 1, 0, key)
        assert cut["degraded"].shape == (24, 24, 3)
        np.testing.assert_array_equal(cut["clean"], 255 - cut["degraded"])
        np.testing.assert_array_equal(cut["mask"], cut["degraded"][:, :, 0])
        np.testing.assert_array_equal(augment(images, 1, 0, key)["clean"], cut["clean"])
        seen.add(cut["degraded"].tobytes())
    assert len(seen) > 35
    assert not np.array_equal(augment(images, 1, 1, "0")["clean"], augment(images, 1, 0, "0")["clean"])
