"""Holes filled by `restore --mask`, and weights that a paper's authors released."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from restorekit.image import read_image
from restorekit.models import create_model
from restorekit.models.checkpoint import save_model
from restorekit.models.madf.released import sources
from tests.cli.conftest import photo


@pytest.fixture(scope="module")
def filler(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("filler")
    record = {"run": "madf-inpainting", "task": "inpainting", "dataset": "inpainting", "seed": 1, "steps": 3}
    save_model(folder, create_model("madf", width=4, init="he", start="smooth"), record)
    return folder


def drawn(path: Path, height: int = 61, width: int = 83, **options: object) -> Path:
    """Writes a mask: a white box on black."""
    mask = np.zeros((height, width), np.uint8)
    mask[10:30, 20:60] = 255
    Image.fromarray(mask).save(path, **options)
    return path


@pytest.mark.parametrize("kind", ["grey", "one bit", "jpeg", "painted on nothing"])
def test_holes_are_filled_and_nothing_else_changes(tmp_path, filler, type_in, kind):
    first, mask = photo(tmp_path / "a.png"), drawn(tmp_path / "mask.png")
    if kind == "one bit":
        Image.open(mask).convert("1").save(mask)
    elif kind == "jpeg":
        Image.open(mask).save(mask := tmp_path / "mask.jpg", quality=70)
    elif kind == "painted on nothing":
        alpha = Image.open(mask)
        Image.merge("RGBA", [Image.new("L", alpha.size, 255)] * 3 + [alpha]).save(mask)
    ended = type_in("restore", first, "--mask", mask, "--model", filler)
    assert ended.returncode == 0, ended.stderr
    before, after = read_image(first).pixels, read_image(tmp_path / "a.restored.png").pixels
    changed = (before != after).any(axis=2)
    assert changed[10:30, 20:60].any()
    changed[10:30, 20:60] = False
    assert not changed.any()


def test_tiles_keep_pixels_outside_the_mask(tmp_path, filler, type_in):
    first, mask = photo(tmp_path / "a.png", 300, 400), drawn(tmp_path / "mask.png", 300, 400)
    ended = type_in("restore", first, "--mask", mask, "--model", filler, "--tile", 256)
    assert ended.returncode == 0, ended.stderr
    before, after = read_image(first).pixels, read_image(tmp_path / "a.restored.png").pixels
    outside = np.array(Image.open(mask)) == 0
    assert np.array_equal(before[outside], after[outside])


def test_invert_mask_takes_a_mask_that_is_black_where_missing(tmp_path, filler, type_in):
    first, mask = photo(tmp_path / "a.png"), drawn(tmp_path / "mask.png")
    ended = type_in("restore", first, "--mask", mask, "--model", filler)
    assert "more than half" not in ended.stderr
    wanted = read_image(tmp_path / "a.restored.png").pixels
    Image.fromarray(255 - np.array(Image.open(mask))).save(mask)
    ended = type_in("restore", first, "--mask", mask, "--model", filler, "--invert-mask")
    assert ended.returncode == 0, ended.stderr
    assert "more than half" not in ended.stderr
    assert np.array_equal(read_image(tmp_path / "a.restored.png").pixels, wanted)
    ended = type_in("restore", first, "--mask", mask, "--model", filler)
    assert "more than half of the photo is missing: is the mask white where something is missing?" in ended.stderr
    assert "--invert-mask turns it round" in ended.stderr


def test_impossible_masks_are_refused(tmp_path, filler, model, type_in):
    first = photo(tmp_path / "a.png")
    mask, small = drawn(tmp_path / "mask.png"), drawn(tmp_path / "small.png", 40, 70)
    Image.new("L", (83, 61), 0).save(tmp_path / "black.png")
    Image.new("L", (83, 61), 255).save(tmp_path / "white.png")
    for arguments, message in (
        ([first, "--model", filler], "give --mask"),
        ([first, "--model", filler, "--invert-mask"], "--invert-mask is for a --mask"),
        ([first, "--model", model, "--mask", mask], "takes no --mask"),
        ([first, "--model", filler, "--grow", 3], "--grow is for a --mask"),
        ([first, "--model", filler, "--mask", small], "70 x 40 pixels and the photo 83 x 61"),
        ([first, "--model", filler, "--mask", tmp_path / "black.png"], "nothing is missing"),
        ([first, "--model", filler, "--mask", tmp_path / "white.png"], "nothing is left"),
        ([first, "--model", filler, "--mask", tmp_path / "no.png"], "no photo at"),
        ([first, "--model", filler, "--mask", mask, "--output", mask], "will not be overwritten"),
    ):
        ended = type_in("restore", *arguments)
        assert ended.returncode == 1
        assert message in ended.stderr
    assert not list(tmp_path.glob("*.restored.*"))


def test_a_mask_has_the_size_of_the_upright_photo(tmp_path, filler, type_in):
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    first = photo(tmp_path / "a.jpg", 83, 61, exif=exif)
    ended = type_in("restore", first, "--mask", drawn(tmp_path / "mask.png"), "--model", filler, "--output", "b.png")
    assert ended.returncode == 0, ended.stderr
    assert read_image(tmp_path / "b.png").pixels.shape == (61, 83, 3)


def test_released_weights_become_a_model(tmp_path, type_in):
    theirs = authors_file(tmp_path / "madf.pth")
    ended = type_in("import-weights", "madf", theirs, "--output", tmp_path / "released", "--register")
    assert ended.returncode == 0, ended.stderr
    assert "madf-inpainting version 1, candidate" in ended.stdout
    photo(tmp_path / "a.png")
    drawn(tmp_path / "mask.png")
    for model in ("released", "madf-inpainting"):
        where = ("--model", f"./{model}") if model == "released" else ("--model", model, "--alias", "candidate")
        ended = type_in("restore", "a.png", "--mask", "mask.png", *where, "--output", f"{model}.png")
        assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "released.png").read_bytes() == (tmp_path / "madf-inpainting.png").read_bytes()
    again = type_in("import-weights", "madf", theirs, "--output", tmp_path / "released")
    assert again.returncode == 1
    assert "holds a model already" in again.stderr


def test_other_files_are_refused_as_released_weights(tmp_path, type_in):
    torch.save({"a": torch.zeros(2)}, tmp_path / "a.pth")
    for arguments, message in (
        (["madf", "a.pth"], "not the released MADF"),
        (["dmgn", "a.pth"], "not a whole file of the released DMGN"),
        (["madff", "a.pth"], "did you mean 'madf'"),
        (["madf", "none.pth"], "no authors' file at none.pth"),
    ):
        ended = type_in("import-weights", *arguments, "--output", "out")
        assert ended.returncode == 1
        assert message in ended.stderr
    assert not (tmp_path / "out").exists()


def authors_file(path: Path) -> Path:
    """Writes a checkpoint in the authors' form, for a network with 4 channels and no refinements."""
    own = create_model("madf", width=4, refinements=0).state_dict()
    table = sources(4, 0)
    tensors = {
        f"module.model.{key}": torch.rand(shape) if shape else torch.tensor(3)
        for ours, source in table.items()
        for key, shape in zip(source.keys, source.shapes(tuple(own[ours].shape)), strict=True)
    }
    torch.save({"n_iter": 9, "model": tensors, "gen_optimizer": {}}, path)
    return path
