"""Real pairs on disk: read unchanged, or refused with the name of the faulty file."""

from pathlib import Path

import numpy as np
import pytest

from restorekit.degradations.holes import FILL
from restorekit.errors import RestorekitError
from restorekit.image import encode_rgb, to_uint8
from restorekit.rng import rng_for
from restorekit.sources.real_pairs import find_pairs, load_pair, pairs_digest, shifts_told


def write(root: Path, name: str, size: tuple[int, int] = (9, 7)) -> np.ndarray:
    """Writes a picture of noise, seeded by `name`, and returns its pixels."""
    image = rng_for(1, name).integers(0, 256, (size[1], size[0], 3)).astype(np.uint8)
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_rgb(image, "webp" if path.suffix == ".webp" else "png"))
    return image


def test_pairs_are_loaded_as_they_lie(tmp_path: Path) -> None:
    images = {name: write(tmp_path, name) for name in ("input/a.png", "target/a.webp", "input/b.webp", "target/b.png")}
    first, second = find_pairs("real", tmp_path, "plain")
    assert (first.key, first.scene, first.width, first.height) == ("a", "a", 9, 7)
    loaded = load_pair(tmp_path, second)
    np.testing.assert_array_equal(loaded.degraded, images["input/b.webp"])
    np.testing.assert_array_equal(loaded.clean, images["target/b.png"])
    assert loaded.layer is None


def test_triplets_halves_and_photographs_alone(tmp_path: Path) -> None:
    layer = write(tmp_path / "t", "x-label2.png")
    write(tmp_path / "t", "x-input.png")
    write(tmp_path / "t", "x-label1.png")
    (pair,) = find_pairs("real", tmp_path / "t", "ceilnet", 1)
    np.testing.assert_array_equal(load_pair(tmp_path / "t", pair).layer, layer)

    whole = write(tmp_path / "h", "training/1.png", (18, 7))
    (pair,) = find_pairs("real", tmp_path / "h", "rain800-train", 1)
    loaded = load_pair(tmp_path / "h", pair)
    np.testing.assert_array_equal(loaded.clean, whole[:, :9])
    np.testing.assert_array_equal(loaded.degraded, whole[:, 9:])
    assert (pair.width, pair.height) == (9, 7)

    write(tmp_path / "u", "input/x.png")
    (pair,) = find_pairs("real", tmp_path / "u", "unpaired")
    assert load_pair(tmp_path / "u", pair).clean is None


def holes(root: Path, name: str, size: tuple[int, int] = (9, 7)) -> np.ndarray:
    """A mask with a white left third, as bool."""
    image = np.zeros((size[1], size[0], 3), np.uint8)
    image[:, : size[0] // 3] = 255
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_bytes(encode_rgb(image, "png"))
    return image[..., 0] > 0


def test_a_mask_makes_a_pair_of_a_photograph(tmp_path: Path) -> None:
    photo, missing = write(tmp_path, "photo/a/1.png"), holes(tmp_path, "mask/a/1.png")
    (pair,) = find_pairs("real", tmp_path, "masked")
    loaded = load_pair(tmp_path, pair)
    np.testing.assert_array_equal(loaded.clean, photo)
    np.testing.assert_array_equal(loaded.mask == 255, missing)
    np.testing.assert_array_equal(loaded.degraded[~missing], photo[~missing])
    assert (loaded.degraded[missing] == to_uint8(np.full(1, FILL))).all()
    digest = pairs_digest([pair])
    (tmp_path / "mask/a/1.png").write_bytes(encode_rgb(np.zeros((7, 9, 3), np.uint8), "png"))
    with pytest.raises(RestorekitError, match="has changed"):
        load_pair(tmp_path, pair)
    assert pairs_digest(find_pairs("real", tmp_path, "masked")) != digest


def test_degraded_photographs_with_clean_ones_and_masks_stay_what_they_are(tmp_path: Path) -> None:
    degraded, clean = write(tmp_path, "input/1.png"), write(tmp_path, "target/1.png")
    missing = holes(tmp_path, "mask/1.png")
    loaded = load_pair(tmp_path, find_pairs("real", tmp_path, "masked")[0])
    np.testing.assert_array_equal(loaded.degraded, degraded)
    np.testing.assert_array_equal(loaded.clean, clean)
    np.testing.assert_array_equal(loaded.mask == 255, missing)


def test_what_is_wrong_with_masks_is_told_with_names(tmp_path: Path) -> None:
    for name in ("1", "2", "3"):
        write(tmp_path, f"photo/{name}.png")
        holes(tmp_path, f"mask/{name}.png")
    with pytest.raises(RestorekitError, match=r"3, stated are 4 \(first and last: photo/1\.png, photo/3\.png\)"):
        find_pairs("real", tmp_path, "masked", 4)
    holes(tmp_path, "mask/3.png", (8, 7))
    with pytest.raises(RestorekitError, match=r"photo/3\.png is 9 x 7, mask/3\.png is 8 x 7"):
        find_pairs("real", tmp_path, "masked")
    (tmp_path / "mask/3.png").unlink()
    holes(tmp_path, "mask/4.png")
    with pytest.raises(RestorekitError, match=r"without a mask: 1 \(photo/3\.png\)") as found:
        find_pairs("real", tmp_path, "masked")
    assert "masks without a photograph: 1 (mask/4.png)" in str(found.value)


def test_a_larger_target_is_cut_about_its_centre_where_the_layout_says_so(tmp_path: Path) -> None:
    write(tmp_path, "hazy/1400_1.png")
    clean = write(tmp_path, "gt/1400.png", (13, 11))
    (pair,) = find_pairs("real", tmp_path, "sots-indoor", 1)
    np.testing.assert_array_equal(load_pair(tmp_path, pair).clean, clean[2:9, 2:11])


def test_the_digest_follows_contents_and_not_places(tmp_path: Path) -> None:
    for root in ("a", "b/deeper"):
        for name in ("input/x.png", "target/x.png"):
            write(tmp_path / root, name)
    one = pairs_digest(find_pairs("real", tmp_path / "a", "plain"))
    assert pairs_digest(find_pairs("real", tmp_path / "b", "plain")) == one
    other = tmp_path / "a" / "target" / "x.png"
    other.write_bytes(encode_rgb(np.zeros((7, 9, 3), np.uint8), "png"))
    assert pairs_digest(find_pairs("real", tmp_path / "a", "plain")) != one


def refused(root: Path, layout: str, expected: int | None = None) -> str:
    with pytest.raises(RestorekitError) as caught:
        find_pairs("real.evaluate.mine", root, layout, expected)
    assert str(caught.value).startswith("real.evaluate.mine: ")
    return str(caught.value)


def test_missing_partners_are_counted_and_the_first_named(tmp_path: Path) -> None:
    for number in range(1, 7):
        write(tmp_path, f"rain-{number:03d}.png")
    write(tmp_path, "norain-001.png")
    write(tmp_path, "rain-x.png")
    message = refused(tmp_path, "rain100L-test")
    assert "degraded images without a clean one: 5 (rain-002.png, rain-003.png, rain-004.png, ...)" in message
    assert "files that are named otherwise: 1 (rain-x.png)" in message
    assert "Yang et al." in message


def test_another_number_than_the_published_one_is_refused_unless_it_is_stated(tmp_path: Path) -> None:
    for name in ("rain-001.png", "norain-001.png"):
        write(tmp_path, name)
    message = refused(tmp_path, "rain100L-test")
    assert "rain100L-test' in" in message
    assert ": 1, published are 100 (first and last: rain-001.png" in message
    assert message.endswith("pairs: 1")
    assert len(find_pairs("real", tmp_path, "rain100L-test", 1)) == 1
    assert "1, stated are 2" in refused(tmp_path, "rain100L-test", 2)


def test_unequal_sizes_are_told_with_both_files(tmp_path: Path) -> None:
    for name in ("input/a.png", "target/a.png", "input/b.png"):
        write(tmp_path, name)
    write(tmp_path, "target/b.png", (9, 8))
    message = refused(tmp_path, "plain")
    assert "unequal size in" in message
    assert "input/b.png is 9 x 7, target/b.png is 9 x 8" in message
    write(tmp_path / "h", "training/1.png", (17, 7))
    assert "training/1.png is 17 pixels wide" in refused(tmp_path / "h", "rain800-train", 1)
    write(tmp_path / "s", "hazy/1_1.png")
    write(tmp_path / "s", "gt/1.png", (8, 20))
    assert "gt/1.png is 8 x 20" in refused(tmp_path / "s", "sots-indoor", 1)


def test_another_layout_is_recognised(tmp_path: Path) -> None:
    for name in ("data/0_rain.png", "gt/0_clean.png"):
        write(tmp_path, name)
    message = refused(tmp_path, "gopro-test")
    assert "It looks like 'raindrop-test_a'" in message
    assert "2 files, such as data/0_rain.png" in message
    (tmp_path / "empty").mkdir()
    assert "found no files" in refused(tmp_path / "empty", "plain")
    assert "no folder at" in refused(tmp_path / "nowhere", "plain")


def test_a_file_that_is_no_picture_is_named(tmp_path: Path) -> None:
    for name in ("input/a.png", "target/a.png"):
        write(tmp_path, name)
    (tmp_path / "target" / "a.png").write_bytes(b"not a picture")
    with pytest.raises(RestorekitError, match=r"target/a\.png cannot be read as an image"):
        find_pairs("real", tmp_path, "plain")


def test_a_file_that_changes_afterwards_is_noticed(tmp_path: Path) -> None:
    for name in ("input/a.png", "target/a.png"):
        write(tmp_path, name)
    (pair,) = find_pairs("real", tmp_path, "plain")
    write(tmp_path, "target/a.png", (9, 8))
    with pytest.raises(RestorekitError, match=r"target/a\.png has changed"):
        load_pair(tmp_path, pair)
    (tmp_path / "input" / "a.png").unlink()
    with pytest.raises(RestorekitError, match="can no longer be read"):
        load_pair(tmp_path, pair)


def test_a_shifted_pair_is_told_by_name_and_is_no_error(tmp_path: Path) -> None:
    image = write(tmp_path, "input/fits.png", (120, 90))
    for name, pixels in (
        ("target/fits.png", image),
        ("input/moved.png", image[:, 3:]),
        ("target/moved.png", image[:, :-3]),
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(encode_rgb(np.ascontiguousarray(pixels), "png"))
    pairs = find_pairs("real", tmp_path, "plain")
    note = shifts_told("real.train.mine", tmp_path, pairs)
    assert note is not None
    assert note.startswith("real.train.mine: 1 of 2 pairs")
    assert "input/moved.png by 3.0" in note
    assert "fits" not in note
    assert shifts_told("real.train.mine", tmp_path, pairs[:1]) is None
