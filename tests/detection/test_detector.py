"""A detector on photos of any size, and its folder, which is read with distrust."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from restorekit.detection.calibration import Calibration
from restorekit.detection.detector import PART, SHORT_SIDE, Detection, Detector, combined, parts_of, whole_of
from restorekit.detection.folder import RECORD, load_detector, save_detector
from restorekit.detection.network import DetectorNetwork
from restorekit.errors import RestorekitError
from restorekit.files import digest_of, sha256_file
from restorekit.models.checkpoint import WEIGHTS
from restorekit.rng import rng_for
from restorekit.tasks import DETECTED

EVEN = Calibration(dict.fromkeys(DETECTED, 2.0), dict.fromkeys(DETECTED, 0.5))


def network() -> DetectorNetwork:
    torch.manual_seed(0)
    return DetectorNetwork(len(DETECTED), 4).eval()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_detector(tmp_path / "made", network(), EVEN, {"steps": 3})
    return tmp_path / "made"


def noise(height: int, width: int) -> np.ndarray:
    return rng_for(0, height, width).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("size", [(1, 1), (3, 2000), (31, 37), (320, 480), (720, 1280), (1700, 900)])
def test_a_photo_of_any_size_has_a_probability_for_each_label(size: tuple[int, int]) -> None:
    found = Detector(network(), EVEN).detect(noise(*size))
    assert set(found.probabilities) == set(DETECTED)
    assert all(0.0 < value < 1.0 for value in found.probabilities.values())
    assert list(found.found) == sorted(
        (name for name, value in found.probabilities.items() if value > 0.5),
        key=lambda name: -found.probabilities[name],
    )


def test_eight_bits_and_float_are_one_photo() -> None:
    pixels = noise(100, 140)
    detector = Detector(network(), EVEN)
    assert detector.detect(pixels) == detector.detect(pixels.astype(np.float32) / 255)


def test_an_image_of_a_batch_does_not_change_another() -> None:
    images = torch.rand(2, 3, 48, 64)
    with torch.inference_mode():
        assert torch.allclose(network()(images)[:1], network()(images[:1]), atol=1e-5)


def test_a_large_photo_is_seen_whole_and_in_parts_and_never_enlarged() -> None:
    large = noise(900, 1200)
    assert whole_of(large).shape == (SHORT_SIDE, 427, 3)
    assert parts_of(large).shape == (6, PART, PART, 3)
    assert all((large[top : top + PART, left : left + PART] == parts_of(large)[place]).all()
               for place, (top, left) in enumerate((y, x) for y in (153, 459) for x in (152, 456, 760)))  # fmt: skip
    small = noise(224, 224)
    assert np.array_equal(whole_of(small), small)
    assert len(parts_of(small)) == 0
    assert len(parts_of(noise(100, 20000))) == 0
    assert max(whole_of(noise(100, 20000)).shape) == 4 * SHORT_SIDE


def test_thin_lines_that_the_reduction_removes_are_seen_in_parts() -> None:
    plain = np.full((2000, 3000, 3), 90, np.uint8)
    lines = plain.copy()
    lines[:, ::6] = 200
    even = np.full_like(plain, int(lines.mean()))
    assert np.abs(whole_of(lines).astype(int) - whole_of(even)).max() <= 8
    assert parts_of(lines).std() > 10 * parts_of(even).std() + 1


def test_what_is_found_in_parts_or_in_the_whole_counts() -> None:
    whole, parts = np.array([3.0, -2.0]), np.array([[1.0, 4.0], [-1.0, 2.0]])
    assert combined(whole, parts).tolist() == [3.0, 3.0]
    assert combined(whole, parts[:0]).tolist() == [3.0, -2.0]


def test_words_name_what_is_found_or_how_clean_it_is() -> None:
    scores = dict(zip(DETECTED, (0.01, 0.93, 0.71, 0.02, 0.005), strict=True))
    assert Detection(scores, ("rain", "haze")).in_words() == "rain 0.93, haze 0.71"
    clean = {name: value / 20 for name, value in scores.items()}
    assert Detection(clean, ()).in_words() == "clean (rain 0.05, haze 0.04)"


def test_a_folder_gives_the_same_detector_back(folder: Path) -> None:
    read, calibration, record = load_detector(folder)
    assert calibration == EVEN
    assert (record["steps"], record["labels"]) == (3, list(DETECTED))
    saved = network().state_dict()
    assert all(torch.equal(value, saved[name]) for name, value in read.state_dict().items())


def test_half_precision_is_read_as_float32(tmp_path: Path) -> None:
    save_detector(tmp_path, network().half(), EVEN, {})
    read, _, _ = load_detector(tmp_path)
    assert {value.dtype for value in read.state_dict().values()} == {torch.float32}
    assert load_file(tmp_path / WEIGHTS)["head.bias"].dtype == torch.float16


@pytest.mark.parametrize(
    "change, message",
    [
        ({"format": 2}, "no record of a detector"),
        ({"labels": ["rain"]}, "other labels than this version"),
        ({"width": 10**6}, "no 'width' from 2 to 64"),
        ({"width": True}, "no 'width' from 2 to 64"),
        ({"width": 5}, "belongs to another model"),
        ({"temperatures": {}}, "no 'temperatures' for each"),
        ({"temperatures": {**EVEN.temperatures, "rain": 0.0}}, "not above 0"),
        ({"temperatures": {**EVEN.temperatures, "rain": "1"}}, "no numbers"),
        ({"thresholds": {**EVEN.thresholds, "rain": 1.5}}, "no probabilities"),
        ({"thresholds": {**EVEN.thresholds, "rain": 10**400}}, "no numbers"),
    ],
)
def test_a_record_that_someone_changed_and_signed_is_refused(
    folder: Path, change: dict[str, Any], message: str
) -> None:
    record = {**json.loads((folder / RECORD).read_text()), **change}
    signed = {name: record[name] for name in ("labels", "width", "temperatures", "thresholds")}
    record["digest"] = digest_of({"weights": sha256_file(folder / WEIGHTS), **signed})
    (folder / RECORD).write_text(json.dumps(record))
    with pytest.raises(RestorekitError, match=message):
        load_detector(folder)


def test_changed_thresholds_weights_and_files_that_are_missing_are_refused(folder: Path) -> None:
    text = (folder / RECORD).read_text()
    (folder / RECORD).write_text(text.replace("0.5", "0.9"))
    with pytest.raises(RestorekitError, match="the digest differs"):
        load_detector(folder)
    (folder / RECORD).write_text(text)
    tensors = load_file(folder / WEIGHTS)
    save_file({**tensors, "head.bias": tensors["head.bias"] * float("nan")}, folder / WEIGHTS)
    with pytest.raises(RestorekitError, match="the digest differs"):
        load_detector(folder)
    record = json.loads(text)
    signed = {name: record[name] for name in ("labels", "width", "temperatures", "thresholds")}
    record["digest"] = digest_of({"weights": sha256_file(folder / WEIGHTS), **signed})
    (folder / RECORD).write_text(json.dumps(record))
    with pytest.raises(RestorekitError, match="not finite"):
        load_detector(folder)
    (folder / WEIGHTS).unlink()
    with pytest.raises(RestorekitError, match="no weights at"):
        load_detector(folder)
    (folder / RECORD).unlink()
    with pytest.raises(RestorekitError, match="no detector at"):
        load_detector(folder)


def test_weights_that_are_not_finite_are_not_written(tmp_path: Path) -> None:
    broken = network()
    with torch.no_grad():
        broken.head.bias.fill_(float("inf"))
    with pytest.raises(RestorekitError, match=r"head\.bias' is not finite"):
        save_detector(tmp_path / "made", broken, EVEN, {})
    assert not (tmp_path / "made").exists()
