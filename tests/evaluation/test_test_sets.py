"""Real test sets: every pair is scored once by the same protocols; images without a clean image are not scored."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from skimage.data import astronaut

from restorekit.config import RealSet, check_params, load_params
from restorekit.errors import RestorekitError
from restorekit.evaluation.scoring import score_pairs
from restorekit.evaluation.slices import slice_scores
from restorekit.evaluation.test_sets import gate_set, real_pairs, real_pictures, scored_sets, shift_notes
from restorekit.image import encode_rgb, to_float
from restorekit.paths import Paths
from restorekit.provenance import PACKAGE
from restorekit.shards.manifest import ShardManifest, write_shard


def write_set(root: Path, count: int = 2) -> None:
    """Writes two hazy images for every clean image, brighter by 10 and by 20 levels."""
    for folder in ("hazy", "clear"):
        (root / folder).mkdir(parents=True)
    for number in range(1, count + 1):
        clean = np.clip(astronaut()[40 * number : 40 * number + 37, 200:231], 40, 200).astype(np.uint8)
        (root / f"clear/{number}.png").write_bytes(encode_rgb(clean, "png"))
        for variant in (1, 2):
            hazy = clean + np.uint8(10 * variant)
            (root / f"hazy/{number}_{variant}_0.8.png").write_bytes(encode_rgb(hazy, "png"))


def config(**values: Any) -> RealSet:
    return RealSet.model_validate({"task": "haze", "layout": "reside-its", "root": "its", "pairs": 4, **values})


def test_real_pairs_are_scored_like_synthetic_pairs(tmp_path: Path) -> None:
    write_set(tmp_path / "its")
    pairs = real_pairs("its", config(), tmp_path)
    rows = [restored.score for restored in score_pairs(pairs, lambda pair: to_float(pair.clean), ["psnr_rgb"])]
    assert [row.facts.key for row in rows] == ["1_1_0_8", "1_2_0_8", "2_1_0_8", "2_2_0_8"]
    assert [facts.key for facts in pairs.facts()] == [row.facts.key for row in rows]
    (score,) = slice_scores(rows, 1, 100)
    assert (score.dataset, score.n, score.photographs) == ("its", 4, 2)  # two hazy images for each clean one
    assert score.degraded == pytest.approx((28.13 + 22.11) / 2, abs=0.01)


def test_a_set_with_a_shifted_pair_has_a_note(tmp_path: Path) -> None:
    for folder in ("input", "target"):
        (tmp_path / folder).mkdir()
    for name, shift in (("fits", 0), ("moved", 4)):
        degraded, clean = (astronaut()[:120, start : start + 160] for start in (100 + shift, 100))
        (tmp_path / f"input/{name}.png").write_bytes(encode_rgb(np.ascontiguousarray(degraded), "png"))
        (tmp_path / f"target/{name}.png").write_bytes(encode_rgb(np.ascontiguousarray(clean), "png"))
    write_set(tmp_path / "its")
    plain = config(layout="plain", root=".", pairs=2)
    (note,) = shift_notes([real_pairs("mine", plain, tmp_path), real_pairs("its", config(), tmp_path)])
    assert note.startswith("real.evaluate.mine: 1 of 2 pairs")
    assert "moved by 4.0" in note


def test_masks_come_with_their_pairs(tmp_path: Path) -> None:
    for folder in ("photo", "mask"):
        (tmp_path / folder).mkdir()
    image = astronaut()[40:77, 200:231]
    holes = np.zeros_like(image)
    holes[5:20, 3:9] = 255
    (tmp_path / "photo/a.png").write_bytes(encode_rgb(image, "png"))
    (tmp_path / "mask/a.png").write_bytes(encode_rgb(holes, "png"))
    (pair,) = real_pairs("mine", config(task="inpainting", layout="masked", root=".", pairs=1), tmp_path).open()
    np.testing.assert_array_equal(pair.mask, holes[..., 0] / np.float32(255))
    np.testing.assert_array_equal(pair.clean, image)
    assert pair.mask.dtype == np.float32
    assert (pair.degraded[pair.mask == 1] == 128).all()


def test_the_digest_does_not_depend_on_the_root(tmp_path: Path) -> None:
    write_set(tmp_path / "its")
    here = real_pairs("its", config(), tmp_path)
    assert real_pairs("other", config(root=str(tmp_path / "its")), tmp_path / "nowhere").digest == here.digest


def test_an_error_names_the_set(tmp_path: Path) -> None:
    write_set(tmp_path / "its")
    (tmp_path / "its/clear/2.png").unlink()
    with pytest.raises(RestorekitError, match=r"real\.evaluate\.its: .*\n.*hazy/2_1_0\.8\.png, hazy/2_2_0\.8\.png"):
        real_pairs("its", config(), tmp_path)


def test_photographs_without_clean_images_are_opened_by_key(tmp_path: Path) -> None:
    (tmp_path / "mine/input").mkdir(parents=True)
    for name in ("a", "b"):
        (tmp_path / f"mine/input/{name}.png").write_bytes(encode_rgb(astronaut()[:20, :30], "png"))
    pictures = real_pictures("mine", config(layout="unpaired", root="mine", pairs=None), tmp_path)
    assert [facts.key for facts in pictures.facts] == ["a", "b"]
    ((facts, degraded),) = pictures.open(["b"])
    assert facts.photograph == "b"
    np.testing.assert_array_equal(degraded, astronaut()[:20, :30])


@pytest.mark.parametrize(
    "run, pipeline",
    [("glsgn-rain", "more"), ("glsgn-rain-uhd--long", "long"), ("madf-inpainting--long", "long"),
     ("dakd-haze--a0-1", "ablations")],
)  # fmt: skip
def test_runs_on_synthetic_sets_are_scored_on_the_synthetic_test(run: str, pipeline: str, tmp_path: Path) -> None:
    root = PACKAGE.parent
    params, paths = load_params(root / "params.yaml", root / f"pipelines/{pipeline}/params.yaml"), Paths(tmp_path)
    dataset = params.run(run).first_set
    test = paths.shards(dataset) / "test"
    test.mkdir(parents=True)
    image = encode_rgb(astronaut()[:9, :9], "png")
    shard = write_shard(test / "0.tar", iter([("a", {"degraded.png": image, "clean.png": image, "json": b"{}"})]))
    ShardManifest(dataset, "rain", "test", "made", (shard,)).save(test)
    assert [pairs.name for pairs in scored_sets(run, params, paths, tmp_path)] == ["synthetic-test"]


def test_a_run_on_several_sets_is_judged_by_each_and_promoted_by_the_first(tmp_path: Path) -> None:
    root = PACKAGE.parent
    values = yaml.safe_load((root / "params.yaml").read_text())
    write_set(tmp_path / "its")
    values["real"]["evaluate"] = {"its": {"task": "haze", "layout": "reside-its", "root": "its", "pairs": 4}}
    run = {"model": "glsgn", "dataset": {"rain": 0.5, "haze": 0.3, "reflection": 0.2}}
    values["runs"] = {"glsgn-rain": run | {"options": {"width": 8}}}
    params, paths = check_params(values), Paths(tmp_path)
    image = encode_rgb(astronaut()[:9, :9], "png")
    for dataset in ("rain", "haze", "reflection"):
        test = paths.shards(dataset) / "test"
        test.mkdir(parents=True)
        shard = write_shard(test / "0.tar", iter([("a", {"degraded.png": image, "clean.png": image, "json": b"{}"})]))
        ShardManifest(dataset, dataset, "test", "made", (shard,)).save(test)
    found = scored_sets("glsgn-rain", params, paths, tmp_path)
    made = ["synthetic-test", "synthetic-test-haze", "synthetic-test-reflection"]
    assert [pairs.name for pairs in found] == [*made, "its"]
    assert gate_set("glsgn-rain", params, paths, tmp_path).digest == found[0].digest
    assert found[0].digest == ShardManifest.load(paths.shards("rain") / "test").digest
