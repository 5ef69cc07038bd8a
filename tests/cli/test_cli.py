"""The command line's results, files and errors."""

import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from restorekit.degradations import DEGRADATIONS
from restorekit.image import read_image
from restorekit.models import create_model
from restorekit.models.checkpoint import save_model
from restorekit.rng import rng_for
from restorekit.tracking.registry import find_or_register, set_champion, set_tags
from tests.cli.conftest import photo

ROOT = Path(__file__).parents[2]


def test_help_loads_no_torch_no_ray_and_no_mlflow(tmp_path):
    code = """
import sys
from restorekit import cli
sys.argv = ["restorekit", *sys.argv[1:]]
try:
    cli.main()
except SystemExit as ended:
    assert ended.code == 0, ended.code
heavy = {"torch", "ray", "mlflow", "cv2", "numpy", "skimage", "sklearn", "scipy"} & set(sys.modules)
assert not heavy, heavy
"""
    for arguments in (["--help"], ["restore", "--help"], ["degrade", "--help"], ["models", "--help"]):
        command = [sys.executable, "-c", code, *arguments]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "Usage" in done.stdout


def test_light_rooms_and_the_stages_that_handle_data_load_no_torch_no_ray_and_no_mlflow():
    code = """
import sys
import restorekit, restorekit.config, restorekit.image, restorekit.sources, restorekit.entry
heavy = {"torch", "ray", "mlflow", "skimage", "sklearn"} & set(sys.modules)
assert not heavy, heavy
import pipelines.photos, pipelines.synthesize, pipelines.pairs, pipelines.validation, pipelines.report
heavy = {"torch", "ray", "mlflow"} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_a_self_ensemble_restores_a_mirrored_photo_as_the_mirrored_photo(tmp_path, type_in):
    torch.manual_seed(0)
    network = create_model("dakd", width=4, init="he")  # a last layer that is not zero
    record = {"run": "made", "task": "rain", "dataset": "rain", "seed": 0, "steps": 0}
    save_model(tmp_path / "dakd", network, record)
    plain = photo(tmp_path / "plain.png", 64, 80)
    Image.open(plain).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(tmp_path / "mirrored.png")
    apart = []
    for options in ([], ["--self-ensemble"]):
        done = type_in("restore", "plain.png", "mirrored.png", "--model", tmp_path / "dakd", *options)
        assert done.returncode == 0, done.stderr
        restored, mirrored = (
            read_image(tmp_path / f"{name}.restored.png").pixels.astype(int) for name in ("plain", "mirrored")
        )
        apart.append(np.abs(restored - mirrored[:, ::-1]).max())
    assert apart[0] > 1
    assert apart[1] <= 1  # by rounding
    save_model(tmp_path / "unflipped", network, {**record, "flips": ["channels"]})
    done = type_in("restore", "plain.png", "--model", tmp_path / "unflipped", "--self-ensemble")
    assert done.returncode == 1
    assert "trained without flips" in done.stderr


def test_good_photos_are_restored_and_bad_ones_reported_at_the_end(tmp_path, model, type_in):
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Maker"
    photo(tmp_path / "turned.jpg", exif=exif)
    photo(tmp_path / "plain.png")
    (tmp_path / "broken.png").write_bytes(b"no photo")
    done = type_in("restore", "turned.jpg", "broken.png", "missing.jpg", "plain.png", "--model", model)
    assert done.returncode == 1
    assert done.stderr.startswith("error: 2 of 4 photos were not restored:")
    assert "broken.png" in done.stderr
    assert "no photo at missing.jpg" in done.stderr
    assert "Traceback" not in done.stderr
    restored = read_image(tmp_path / "turned.restored.jpg")
    assert (restored.width, restored.height) == (61, 83)
    with Image.open(tmp_path / "turned.restored.jpg") as written:
        assert written.getexif()[0x010F] == "Maker"
        assert written.getexif()[0x0112] == 1
    assert read_image(tmp_path / "plain.restored.png").pixels.shape == (61, 83, 3)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "broken.png", "plain.png", "plain.restored.png", "turned.jpg", "turned.restored.jpg",
    ]  # fmt: skip


def test_output_names_a_file_or_a_folder(tmp_path, model, type_in):
    photo(tmp_path / "a.png")
    photo(tmp_path / "b.png")
    assert type_in("restore", "a.png", "b.png", "--model", model, "--output", "out").returncode == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.restored.png", "b.restored.png"]
    done = type_in("restore", "a.png", "--model", model, "--output", "new.tiff", "--tile", "32")
    assert done.returncode == 0, done.stderr
    assert "a.png -> new.tiff (83 x 61" in done.stdout
    assert read_image(tmp_path / "new.tiff").format == "tiff"


def test_refusals_come_before_the_model_is_loaded(tmp_path, type_in):
    photo(tmp_path / "a.png")
    photo(tmp_path / "b.png")
    Image.fromarray(np.zeros((40, 40, 4), np.uint8)).save(tmp_path / "clear.png")
    before = (tmp_path / "a.png").read_bytes()
    refused = {
        "will not be overwritten": ("a.png", "--output", "a.png"),
        "no photo at c.png": ("c.png",),
        "name a folder": ("a.png", "b.png", "--output", "c.png"),
        "must be one of .jpg": ("a.png", "--output", "a.gif"),
    }
    for sentence, arguments in refused.items():
        done = type_in("restore", *arguments, "--model", "no/such/folder")
        assert done.returncode == 1
        assert sentence in done.stderr
        assert done.stderr.count("\n") == 1
    assert (tmp_path / "a.png").read_bytes() == before


def test_no_input_and_no_earlier_output_is_overwritten(tmp_path, model, type_in):
    photo(tmp_path / "a.png")
    photo(tmp_path / "a.restored.png")
    done = type_in("restore", "a.png", "a.restored.png", "--model", model)
    assert done.returncode == 1
    assert "will not be overwritten" in done.stderr
    assert (tmp_path / "a.restored.restored.png").exists()
    (tmp_path / "other").mkdir()
    photo(tmp_path / "other/a.png")
    done = type_in("restore", "a.png", "other/a.png", "--model", model, "--output", "out")
    assert "goes to out/a.restored.png already" in done.stderr


def test_a_missing_model_folder_and_too_little_memory_are_errors(tmp_path, model, type_in):
    photo(tmp_path / "a.png")
    done = type_in("restore", "a.png", "--model", "./nowhere")
    assert "no model's folder at nowhere" in done.stderr
    done = type_in("restore", "a.png", "--model", model, "--memory", "0.00001")
    assert done.returncode == 1
    assert "allow more memory" in done.stderr
    assert not (tmp_path / "a.restored.png").exists()


def test_a_transparent_photo_is_not_written_as_jpeg(tmp_path, model, type_in):
    Image.fromarray(np.full((40, 40, 4), 99, np.uint8)).save(tmp_path / "clear.png")
    done = type_in("restore", "clear.png", "--model", model, "--output", "out.jpg")
    assert done.returncode == 1
    assert "transparency" in done.stderr
    assert type_in("restore", "clear.png", "--model", model).returncode == 0
    assert (read_image(tmp_path / "clear.restored.png").alpha == 99).all()


@pytest.mark.parametrize("task", sorted(DEGRADATIONS))
def test_every_task_degrades_a_photo_the_same_way_for_the_same_seed(tmp_path, task, type_in):
    clean = photo(tmp_path / "a.png", 120, 140)
    other = ["--other", photo(tmp_path / "b.png", 120, 140)] if DEGRADATIONS[task].needs_other else []
    for seed, name in ((3, "one"), (3, "two"), (4, "three")):
        arguments = ["--task", task, "--severity", 0.6, "--seed", seed, "--output", f"{name}.png", *other]
        done = type_in("degrade", "a.png", *arguments)
        assert done.returncode == 0, done.stderr
    one, two, three = ((tmp_path / f"{name}.png").read_bytes() for name in ("one", "two", "three"))
    assert one == two != three
    assert not np.array_equal(read_image(tmp_path / "one.png").pixels, read_image(clean).pixels)


@pytest.mark.parametrize("task", DEGRADATIONS)
def test_degraded_photos_keep_depth_grey_and_alpha(tmp_path, task, type_in):
    deep = rng_for(1, "deep").integers(0, 65536, (37, 31, 4), dtype=np.uint16)
    for name, pixels in {"deep": deep, "grey": deep[..., 0], "both": (deep // 257).astype(np.uint8)}.items():
        cv2.imwrite(str(tmp_path / f"{name}.png"), pixels)
        other = ["--other", photo(tmp_path / "b.png", 120, 140)] if DEGRADATIONS[task].needs_other else []
        done = type_in("degrade", f"{name}.png", "--task", task, "--severity", 0.9, "--output", "out.png", *other)
        assert done.returncode == 0, done.stderr
        made = cv2.imread(str(tmp_path / "out.png"), cv2.IMREAD_UNCHANGED)
        assert made.dtype == pixels.dtype
        assert made.shape[:2] == (37, 31)
        assert not np.array_equal(read_image(tmp_path / "out.png").pixels, read_image(tmp_path / f"{name}.png").pixels)
        if pixels.ndim == 3:
            np.testing.assert_array_equal(made[..., 3], pixels[..., 3])


def test_degrade_says_what_the_result_cannot_keep(tmp_path, type_in):
    cv2.imwrite(str(tmp_path / "deep.png"), rng_for(1, "deep").integers(0, 65536, (32, 32, 3), dtype=np.uint16))
    done = type_in("degrade", "deep.png", "--task", "rain", "--output", "out.jpg")
    assert done.returncode == 0
    assert "out.jpg: a JPEG cannot keep 16 bits per channel" in done.stderr


def test_degrade_refuses_wrong_arguments(tmp_path, type_in):
    photo(tmp_path / "a.png", 120, 140)
    for arguments, sentence in {
        ("--task", "rian"): "did you mean 'rain'",
        ("--task", "rain", "--kind", "haevy"): "did you mean 'heavy'",
        ("--task", "reflection"): "needs --other",
        ("--task", "rain", "--other", "a.png"): "takes no --other",
        ("--task", "rain", "--output", "a.png"): "will not be overwritten",
    }.items():
        done = type_in("degrade", "a.png", *arguments)
        assert done.returncode == 1
        assert sentence in done.stderr
    assert type_in("degrade", "a.png", "--task", "rain", "--severity", "1.5").returncode == 2
    assert type_in("degrade", "a.png", "--task", "rain").returncode == 0
    assert (tmp_path / "a.rain.png").exists()


def test_registered_models_are_listed_and_restore_by_name(tmp_path, model, type_in):
    photo(tmp_path / "a.png")
    assert "no model is registered" in type_in("models").stdout
    version = find_or_register(model, tmp_path)
    set_tags(version, {"synthetic-test.psnr_rgb": "31.2, gain +4.1"}, tmp_path)
    listed = type_in("models").stdout.splitlines()
    assert listed[0].split() == ["model", "version", "aliases", "digest", "scores"]
    assert listed[1].split()[:3] == ["dmgn-rain", "1", "candidate"]
    assert "synthetic-test.psnr_rgb 31.2, gain +4.1" in listed[1]
    done = type_in("restore", "a.png", "--model", "dmgn-rain", "--alias", "candidate")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "a.restored.png").exists()
    done = type_in("restore", "a.png", "--model", "dmgn-rain")
    assert done.returncode == 1
    assert "champion" in done.stderr
    assert "Traceback" not in done.stderr
    assert "there is no model for rain yet" in type_in("restore", "a.png", "--task", "rain").stderr
    set_champion(version, tmp_path)
    done = type_in("restore", "a.png", "--task", "rain", "--output", "by-task.png")
    assert done.stdout.startswith("rain: using dmgn-rain version 1\n"), done.stderr
    assert (tmp_path / "by-task.png").read_bytes() == (tmp_path / "a.restored.png").read_bytes()
    assert "there are models for rain: dmgn-rain (" in type_in("restore", "a.png", "--task", "haze").stderr
    shutil.copytree(model, tmp_path / "shipped/rain")
    done = type_in("restore", "a.png", "--task", "rain", "--output", "by-shipped.png")
    assert done.stdout.startswith("rain: using shipped:rain\n"), done.stderr
