"""A folder becomes one version and loads back bit for bit; errors name the missing model and the remedy."""

import json
import shutil
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import mlflow
import numpy as np
import pytest
import torch
from mlflow.pyfunc import scoring_server

from restorekit.errors import RestorekitError
from restorekit.image import to_float, to_uint8
from restorekit.inference import Restorer
from restorekit.models import create_model
from restorekit.models.checkpoint import load_model, save_model
from restorekit.rng import rng_for
from restorekit.tracking.pyfunc import RestorationPyfunc
from restorekit.tracking.registry import (
    find_or_register,
    load_registered,
    load_version,
    register,
    set_champion,
    set_tags,
)
from restorekit.tracking.runs import RunLogger
from restorekit.tracking.store import open_client, tracking_uri
from restorekit.tracking.versions import find_alias, find_digest, list_registered, versions_of

MakeModel = Callable[..., Path]


def test_registering_twice_gives_one_version(root: Path, make_model: MakeModel) -> None:
    folder = make_model("dmgn-once")
    first, again = find_or_register(folder, root), find_or_register(folder, root)
    assert first == again
    assert (first.name, first.version, first.aliases) == ("dmgn-once", 1, ("candidate",))
    assert first.tags["run"] == "dmgn-once"
    assert first.tags["shards_digest"] == "def"
    assert first.tags["git_revision"] == "abc"
    assert first.digest == load_model(folder)[1]["digest"]


def test_the_round_trip_keeps_weights_and_record(root: Path, make_model: MakeModel) -> None:
    folder = make_model("dmgn-round")
    register(folder, root)
    model, record = load_registered("dmgn-round", "candidate", root)
    expected, expected_record = load_model(folder)
    assert record == expected_record
    assert not model.training
    for name, tensor in expected.state_dict().items():
        assert torch.equal(model.state_dict()[name], tensor)


def test_a_registered_version_has_no_pickle(root: Path, make_model: MakeModel) -> None:
    version = find_or_register(make_model("dmgn-files"), root)
    with version.files(tracking_uri(root)) as folder:
        names = {path.name for path in folder.rglob("*") if path.is_file()}
    assert names == {
        "MLmodel",
        "conda.yaml",
        "python_env.yaml",
        "requirements.txt",
        "model.json",
        "weights.safetensors",
    }


def test_mlflow_itself_loads_and_runs_a_version(root: Path, make_model: MakeModel) -> None:
    folder = make_model("dmgn-pyfunc")
    version = find_or_register(folder, root)
    with version.files(tracking_uri(root)) as files:
        loaded = mlflow.pyfunc.load_model(str(files))
    images = rng_for(0, "images").integers(0, 256, (2, 19, 23, 3), dtype=np.uint8)
    restored = loaded.predict(images)
    assert (restored.dtype, restored.shape) == (np.uint8, images.shape)
    as_float = loaded.predict(images / 255.0)
    assert as_float.dtype == np.float32
    np.testing.assert_allclose(restored, as_float * 255, atol=0.51)
    assert as_float.min() >= 0.0
    assert as_float.max() <= 1.0
    with pytest.raises(RestorekitError, match="images"):
        loaded.predict(images[0])


def test_a_served_version_restores_a_photo_as_the_restorer_does(root: Path, make_model: MakeModel) -> None:
    """What `mlflow models serve` does with a request: its parser, the model, its answer."""
    folder = make_model("dmgn-served")
    photo = rng_for(0, "photo").integers(0, 256, (19, 23, 3), dtype=np.uint8)
    with find_or_register(folder, root).files(tracking_uri(root)) as files:
        loaded = mlflow.pyfunc.load_model(str(files))
        parsed = scoring_server._split_data_and_params(json.dumps({"inputs": [photo.tolist()]}))[0]
        given = scoring_server.infer_and_parse_data(parsed)
    assert given.dtype != np.uint8  # JSON has numbers and no types
    answer = StringIO()
    scoring_server.predictions_to_json(loaded.predict(given), answer)
    restored = np.array(json.loads(answer.getvalue())["predictions"])
    wanted = to_uint8(Restorer(load_model(folder)[0]).restore(to_float(photo)))
    np.testing.assert_array_equal(restored, wanted[None])
    with pytest.raises(RestorekitError, match="from 0 to 255"):
        loaded.predict(given + 1)


def test_a_version_that_fills_holes_takes_the_mask_as_fourth_channel(tmp_path: Path) -> None:
    torch.manual_seed(0)
    save_model(tmp_path / "madf", create_model("madf", width=4, refinements=1), {"run": "madf-inpainting"})
    loaded = RestorationPyfunc(tmp_path / "madf")
    photo = rng_for(1, "photo").integers(0, 256, (20, 30, 3), dtype=np.uint8)
    mask = np.zeros((20, 30, 1), np.uint8)
    mask[5:9, 10:20] = 255
    restored = loaded.predict([np.concatenate([photo, mask], axis=2)])[0]
    assert np.array_equal(restored[mask[..., 0] == 0], photo[mask[..., 0] == 0])
    assert not np.array_equal(restored, photo)
    with pytest.raises(RestorekitError, match="the fourth channel is the mask"):
        loaded.predict(photo[None])


def test_another_model_becomes_a_new_version_with_the_alias(root: Path, make_model: MakeModel) -> None:
    first = find_or_register(make_model("dmgn-two", 0), root)
    second = find_or_register(make_model("dmgn-two", 1), root)
    assert [version.version for version in versions_of("dmgn-two", root)] == [2, 1]
    assert find_alias("dmgn-two", "candidate", root) == second
    assert find_digest("dmgn-two", first.digest, root).version == 1  # type: ignore[union-attr]
    back = find_or_register(make_model("dmgn-two", 0), root)
    assert (back.version, back.aliases) == (1, ("candidate",))


def test_a_champion_loses_the_candidate_alias_and_stays_champion(root: Path, make_model: MakeModel) -> None:
    folder = make_model("dmgn-crown")
    set_champion(find_or_register(folder, root), root)
    assert find_or_register(folder, root).aliases == ("champion",)
    newer = find_or_register(make_model("dmgn-crown", 1), root)
    assert newer.aliases == ("candidate",)
    assert load_registered("dmgn-crown", root=root)[1]["seed"] == 0
    set_champion(newer, root)
    assert load_registered("dmgn-crown", root=root)[1]["seed"] == 1


def test_a_version_without_files_is_registered_again(root: Path, make_model: MakeModel) -> None:
    folder = make_model("dmgn-lost")
    lost = find_or_register(folder, root)
    with lost.files(tracking_uri(root)) as files:
        shutil.rmtree(files)
    with pytest.raises(RestorekitError, match=r"files of version 1 of 'dmgn-lost' are gone.*dvc repro"):
        load_version(lost, root)
    found = find_or_register(folder, root)
    assert found.version == 2
    assert load_version(found, root)[1]["digest"] == lost.digest


def test_changed_files_are_refused(root: Path, make_model: MakeModel) -> None:
    version = find_or_register(make_model("dmgn-changed", 0), root)
    other = make_model("dmgn-changed", 1)
    with version.files(tracking_uri(root)) as files:
        folder = next(files.rglob("model.json")).parent
        shutil.rmtree(folder)
        shutil.copytree(other, folder)
    with pytest.raises(RestorekitError, match="digest differs"):
        load_version(version, root)


def test_a_damaged_folder_is_not_registered(root: Path, make_model: MakeModel) -> None:
    folder = make_model("dmgn-damaged")
    weights = folder / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x7f")
    with pytest.raises(RestorekitError):
        register(folder, root)
    assert versions_of("dmgn-damaged", root) == []
    with pytest.raises(RestorekitError, match="no model at"):
        find_or_register(folder / "nothing", root)


def test_a_version_belongs_to_the_trainings_run_if_the_store_has_that_run(root: Path, make_model: MakeModel) -> None:
    run_id = RunLogger.start(tracking_uri(root), "dmgn-run").run_id
    assert find_or_register(make_model("dmgn-run", mlflow_run_id=run_id), root).run_id == run_id
    elsewhere = find_or_register(make_model("dmgn-run", 1, mlflow_run_id="0" * 32), root)
    assert elsewhere.run_id not in ("", "0" * 32, run_id)
    assert open_client(tracking_uri(root)).get_run(elsewhere.run_id).info.run_name == "dmgn-run"


def test_missing_models_and_aliases_are_named(root: Path, make_model: MakeModel, tmp_path: Path) -> None:
    find_or_register(make_model("dmgn-known"), root)
    with pytest.raises(RestorekitError, match=r"did you mean 'dmgn-known'\?.*dvc repro"):
        load_registered("dmgn-knwon", root=root)
    with pytest.raises(RestorekitError, match=r"has no champion; its aliases are candidate \(version 1\).*dvc repro"):
        load_registered("dmgn-known", root=root)
    with pytest.raises(RestorekitError, match=r"no model is registered .*dvc repro"):
        load_registered("dmgn-rain", root=tmp_path)
    assert not (tmp_path / "mlflow.db").exists()  # a query creates no store
    assert list_registered(tmp_path) == []
    assert {version.name for version in list_registered(root)} >= {"dmgn-known"}


def test_tags_are_set_and_replaced(root: Path, make_model: MakeModel) -> None:
    version = find_or_register(make_model("dmgn-tags"), root)
    set_tags(version, {"synthetic-test.psnr_rgb": "1"}, root)
    set_tags(version, {"synthetic-test.psnr_rgb": "2"}, root)
    assert versions_of("dmgn-tags", root)[0].tags["synthetic-test.psnr_rgb"] == "2"
