"""Every process gets one address, and several processes at once create one store."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow.tracking._tracking_service.utils import _get_default_tracking_uri

from restorekit.errors import RestorekitError
from restorekit.tracking.registry import find_or_register, load_version
from restorekit.tracking.store import EXPERIMENT, ensure_store, experiment_id, has_store, open_client, tracking_uri
from restorekit.tracking.versions import find_digest


def test_the_address_is_absolute_and_the_environments_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    assert tracking_uri(Path()) == f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    assert tracking_uri(tmp_path) == "http://127.0.0.1:5000"
    assert has_store(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///other.db")
    assert tracking_uri(tmp_path) == f"sqlite:///{tmp_path}/other.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/absolute.db")
    assert tracking_uri(Path("/")) == f"sqlite:///{tmp_path}/absolute.db"
    assert not has_store(tmp_path)


def test_mlflow_ui_opens_the_store_without_an_option(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(root)
    # The default address of `mlflow ui` (mlflow/cli: server); MLflow has no public name for it.
    assert tracking_uri(root) == f"sqlite:///{root}/{_get_default_tracking_uri().removeprefix('sqlite:///')}"


def test_files_of_runs_lie_below_the_root(root: Path) -> None:
    client = open_client(ensure_store(root))
    run = client.create_run(experiment_id(client))
    assert client.get_experiment_by_name(EXPERIMENT).artifact_location == (root / "mlruns").as_uri()
    assert run.info.artifact_uri.startswith((root / "mlruns").as_uri())


def test_two_processes_create_the_store_at_once(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib; from restorekit.tracking.store import *; print(ensure_store(pathlib.Path(sys.argv[1])))"
    )
    environment = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
    started = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True, env=environment
        )
        for _ in range(2)
    ]
    answers = [process.communicate(timeout=600)[0].strip() for process in started]
    assert [process.returncode for process in started] == [0, 0]
    assert answers == [f"sqlite:///{tmp_path}/mlflow.db"] * 2


def test_a_file_that_is_no_store_raises_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("this is not a database, and long enough to be read as one" * 50)
    with pytest.raises(RestorekitError, match="MLflow could not open the store"):
        ensure_store(tmp_path)


@pytest.mark.parametrize("put", [shutil.copytree, shutil.move])
def test_a_moved_or_copied_store_finds_its_own_files(
    put: Callable[[Path, Path], object], tmp_path: Path, root: Path, make_model: Callable[..., Path]
) -> None:
    first, second = tmp_path / "first", tmp_path / "a second % place"
    (first / "mlruns").mkdir(parents=True)  # else the copied database goes on with the files of `root`
    shutil.copyfile(root / "mlflow.db", first / "mlflow.db")
    version = find_or_register(make_model("dmgn-moved"), first)
    assert version.source.startswith((first / "mlruns").as_uri())
    put(first, second)
    before = sorted(first.rglob("*"))
    moved = find_digest("dmgn-moved", version.digest, second)
    assert moved is not None
    assert moved.source.startswith((second / "mlruns").as_uri())
    assert load_version(moved, second)[1]["digest"] == version.digest
    newer = find_or_register(make_model("dmgn-moved", 1), second)
    assert newer.source.startswith((second / "mlruns").as_uri())
    client = open_client(tracking_uri(second))
    assert client.get_run(version.run_id).info.artifact_uri.startswith((second / "mlruns").as_uri())
    assert sorted(first.rglob("*")) == before  # nothing was written into the original


def test_files_elsewhere_by_choice_stay_there(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    open_client(uri).create_experiment(EXPERIMENT, artifact_location=f"file://{tmp_path}/elsewhere")
    assert open_client(uri).get_experiment_by_name(EXPERIMENT).artifact_location == f"file://{tmp_path}/elsewhere"


def test_a_copied_database_alone_finds_the_files_of_the_original(
    tmp_path: Path, root: Path, make_model: Callable[..., Path]
) -> None:
    first, backup = tmp_path / "first", tmp_path / "backup"
    (first / "mlruns").mkdir(parents=True)
    backup.mkdir()
    shutil.copyfile(root / "mlflow.db", first / "mlflow.db")
    version = find_or_register(make_model("dmgn-backup"), first)
    shutil.copyfile(first / "mlflow.db", backup / "mlflow.db")
    found = find_digest("dmgn-backup", version.digest, backup)
    assert found is not None
    assert found.source == version.source
