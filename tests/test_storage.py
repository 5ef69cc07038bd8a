"""A local folder mirrors a storage: a fetch gives exactly the files of the last push, verified, or raises."""

import shutil
from pathlib import Path

import pytest

from restorekit.errors import RestorekitError
from restorekit.files import sha256_file
from restorekit.paths import working_root
from restorekit.storage import INDEX, address_of, fetch, fetch_file, local_path, push, push_file, remote_of


@pytest.fixture(params=["file", "s3"])
def root(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "s3":
        return request.getfixturevalue("bucket")
    monkeypatch.setenv("RESTOREKIT_CACHE", str(tmp_path / "cache"))
    return f"file://{tmp_path}/stored"


def other_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESTOREKIT_CACHE", str(tmp_path / "other"))


def write(folder: Path, **files: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize(
    "address", ["s3://bucket", "s3://bucket/a/b", "gs://bucket/a", "file:///tmp/a", "hdfs://h:8/a"]
)
def test_an_address_and_its_mirror_map_to_each_other(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESTOREKIT_ROOT", address)
    paths = working_root()
    assert address_of(paths.root) == address
    assert address_of(paths.shards("rain")) == f"{address}/data/shards/rain"
    assert local_path(f"{address}/data/shards/rain") == paths.shards("rain")


def test_a_folder_outside_a_mirror_stays_unchanged(tmp_path: Path) -> None:
    folder = write(tmp_path / "plain", a="1")
    assert address_of(folder) == str(folder)
    assert remote_of(folder) is None
    push(folder)
    assert fetch(folder) == folder
    assert fetch_file(folder / "a", sha256="of something else") == folder / "a"
    assert sorted(path.name for path in folder.iterdir()) == ["a"]


def test_another_machine_fetches_the_last_push(root: str, tmp_path: Path, monkeypatch) -> None:
    folder = write(local_path(f"{root}/models/m"), a="1", b="2")
    write(folder / "below", c="3")
    push(folder)
    (folder / "b").unlink()
    write(folder, a="11")
    push(folder)
    other_machine(tmp_path, monkeypatch)
    found = fetch(local_path(f"{root}/models/m"))
    assert {file.relative_to(found).as_posix(): file.read_text() for file in found.rglob("*") if file.is_file()} == {
        "a": "11",
        "below/c": "3",
    }
    stored = remote_of(found)
    assert stored is not None
    assert stored.names() == [INDEX, "a", "below"]


def test_a_stale_copy_is_replaced(root: str, tmp_path: Path, monkeypatch) -> None:
    first = write(local_path(f"{root}/m"), a="1", b="2")
    push(first)
    other_machine(tmp_path, monkeypatch)
    second = fetch(local_path(f"{root}/m"))
    write(second, a="changed here", c="and this is new")
    assert {path.name for path in fetch(second).iterdir()} == {"a", "b"}
    assert (second / "a").read_text() == "1"


def test_half_a_push_stays_invisible(root: str, tmp_path: Path, monkeypatch) -> None:
    folder = write(local_path(f"{root}/m"), a="1")
    push_file(folder / "a")
    other_machine(tmp_path, monkeypatch)
    assert not fetch(local_path(f"{root}/m")).exists()


def test_stored_files_are_verified(root: str, tmp_path: Path, monkeypatch) -> None:
    folder = write(local_path(f"{root}/m"), a="1")
    digest = sha256_file(folder / "a")
    push(folder)
    stored = remote_of(folder)
    assert stored is not None
    (stored / "a").write(b"2")
    assert fetch_file(folder / "a", digest).read_text() == "1"  # the local copy is right
    other_machine(tmp_path, monkeypatch)
    elsewhere = local_path(f"{root}/m")
    with pytest.raises(RestorekitError, match=r"m changed while it was read, or is damaged"):
        fetch(elsewhere)
    with pytest.raises(RestorekitError, match=r"m/a is not the file of its manifest"):
        fetch_file(elsewhere / "a", digest)
    assert not (elsewhere / "a").exists()


def test_a_damaged_copy_is_fetched_again(root: str) -> None:
    file = write(local_path(f"{root}/m"), a="1") / "a"
    digest = sha256_file(file)
    push_file(file)
    file.write_text("0")
    assert fetch_file(file, digest).read_text() == "1"


def test_a_file_that_is_not_stored_is_removed(root: str) -> None:
    file = write(local_path(f"{root}/m"), a="1") / "a"
    assert not fetch_file(file).exists()
    stored = remote_of(file)
    assert stored is not None
    assert (stored.size(), stored.read(), stored.names()) == (None, None, [])
    stored.remove()


def test_only_the_first_of_two_creates_a_file(root: str) -> None:
    stored = remote_of(local_path(f"{root}/lease"))
    assert stored is not None
    assert [(stored / "1").create(text) for text in (b"mine", b"yours")] == [True, False]
    assert (stored / "1").read() == b"mine"


def test_files_are_copied_within_the_storage(root: str) -> None:
    folder = write(local_path(f"{root}/m"), a="1")
    push_file(folder / "a")
    stored = remote_of(folder)
    assert stored is not None
    (stored / "a").copy_to(stored / "b")
    assert stored.names() == ["a", "b"]
    stored.remove()
    assert stored.names() == []


def test_an_error_of_the_storage_names_the_address(root: str, tmp_path: Path, monkeypatch) -> None:
    file = write(local_path(f"{root}/m"), a="1") / "a"
    if root.startswith("s3"):
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
        import fsspec

        fsspec.filesystem("s3").clear_instance_cache()
    else:
        (tmp_path / "stored").write_text("a file where a folder should be")
    with pytest.raises(RestorekitError, match=r"/m/a could not be written .*: check that the storage answers"):
        push_file(file)
    shutil.rmtree(file.parent)
