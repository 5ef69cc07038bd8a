"""Shards: equal samples give equal bytes, and only files in the manifest are read."""

import json
import re
import tarfile
from pathlib import Path

import numpy as np
import pytest
import webdataset as wds

from restorekit.errors import RestorekitError
from restorekit.files import sha256_file
from restorekit.image import encode_grey, encode_rgb
from restorekit.rng import rng_for
from restorekit.shards.manifest import Shard, ShardManifest, write_shard
from restorekit.shards.reader import ShardReader, iter_samples


def members(number: int) -> dict[str, bytes]:
    rng = rng_for(1, number)
    image = rng.integers(0, 256, (20, 31, 3), dtype=np.uint8)
    return {
        "degraded.png": encode_rgb(255 - image, "png"),
        "clean.png": encode_rgb(image, "png"),
        "mask.png": encode_grey(image[:, :, 0]),
        "json": json.dumps({"number": number}).encode(),
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shards = [
        write_shard(tmp_path / f"{n}.tar", ((f"s{n}-{i}", members(10 * n + i)) for i in range(3))) for n in range(2)
    ]
    ShardManifest("rain", "rain", "test", "photos", tuple(shards)).save(tmp_path)
    return tmp_path


def test_samples_are_read_as_they_were_written(folder: Path) -> None:
    samples = list(iter_samples(folder))
    assert [sample.key for sample in samples] == ["s0-0", "s0-1", "s0-2", "s1-0", "s1-1", "s1-2"]
    expected = rng_for(1, 11).integers(0, 256, (20, 31, 3), dtype=np.uint8)
    np.testing.assert_array_equal(samples[4].clean, expected)
    np.testing.assert_array_equal(samples[4].degraded, 255 - expected)
    np.testing.assert_array_equal(samples[4].mask, expected[:, :, 0])
    assert samples[4].record == {"number": 11}
    assert samples[4].layer is None


def test_a_shard_has_the_bytes_that_webdataset_writes(tmp_path: Path) -> None:
    keys = ["short", "k" * 140, "Zürich-03"]
    with wds.TarWriter(
        str(tmp_path / "1.tar"), mtime=0, encoder=False, user="restorekit", group="restorekit"
    ) as writer:
        for number, key in enumerate(keys):
            writer.write({"__key__": key, **members(number)})
    write_shard(tmp_path / "0.tar", ((key, members(n)) for n, key in enumerate(keys)))
    assert (tmp_path / "0.tar").read_bytes() == (tmp_path / "1.tar").read_bytes()


def test_a_shard_is_read_as_webdataset_reads_it(tmp_path: Path) -> None:
    """This holds for names that are not ASCII or too long for a tar's header, and in any order."""
    keys = ["short", "k" * 140, "Zürich-03", "e" * 99, "short-too"]
    shard = write_shard(tmp_path / "0.tar", ((key, members(n)) for n, key in enumerate(keys)))
    ShardManifest("rain", "rain", "test", "photos", (shard,)).save(tmp_path)
    groups = wds.WebDataset(str(tmp_path / "0.tar"), shardshuffle=False)
    expected = [(group["__key__"], {k: v for k, v in group.items() if k[0] != "_"}) for group in groups]
    reader = ShardReader(tmp_path)
    assert list(reader.raw_samples()) == expected
    assert [reader.sample(0, index).key for index in (3, 0, 4)] == [keys[3], keys[0], keys[4]]


@pytest.mark.parametrize(
    ("index", "says"),
    [
        (
            "v1.2 1\nclean.png 0 70 a.clean.png degraded.png 70 70 a.degraded.png json 0 9 a.json\n",
            "does not hold its member 'a.clean.png'",
        ),
        ("v1.2 1\nclean.png 1000 500 a.clean.png\n", "does not hold its member 'a.clean.png'"),
        ("v1.2 1\nclean.png 600 70 a.clean.png\n", "no right tar header for its member 'a.clean.png'"),
        ("v1.2 1\nclean.png 0 70 a.clean.png degraded.png\n", "is none at sample 0"),
        ("v1.2 1\nclean.png x 70 a.clean.png\n", "is none at sample 0"),
        ("v1.2 1\n", "is no index of 1 samples"),
        ("no tar", "is no index of 1 samples"),
        (None, r"0\.idx, the index of shard 0\.tar, is missing"),
    ],
)
def test_the_error_of_a_shard_that_is_no_tar_names_it(tmp_path: Path, index: str | None, says: str) -> None:
    """The same holds for a shard with a false index, even if the manifest lists both."""
    (tmp_path / "0.tar").write_bytes(b"no tar" * 200)
    (tmp_path / "0.idx").write_text(index or "")
    digests = sha256_file(tmp_path / "0.tar"), sha256_file(tmp_path / "0.idx")
    ShardManifest("rain", "rain", "test", "photos", (Shard("0.tar", 1, 1200, *digests),)).save(tmp_path)
    if index is None:
        (tmp_path / "0.idx").unlink()
    with pytest.raises(RestorekitError, match=rf"{says}.*dvc repro") as caught:
        list(iter_samples(tmp_path))
    assert re.search(r"0\.(tar|idx)", str(caught.value))


def test_the_index_equals_that_of_dalis_wds2idx(tmp_path: Path) -> None:
    """wds2idx writes a line for each sample: extension, first byte, bytes and name of each member."""
    keys = ["short", "k" * 140, "Zürich-03"]
    shard = write_shard(tmp_path / "0.tar", ((key, members(n)) for n, key in enumerate(keys)))
    assert shard.index_sha256 == sha256_file(tmp_path / "0.idx")
    head, *lines = (tmp_path / "0.idx").read_text().splitlines()
    assert head == "v1.2 3"
    data = (tmp_path / "0.tar").read_bytes()
    for number, (key, line) in enumerate(zip(keys, lines, strict=True)):
        fields = line.split(" ")
        for name, start, size, file in zip(*(fields[n::4] for n in range(4)), strict=True):
            assert file == f"{key}.{name}"
            assert data[int(start) :][: int(size)] == members(number)[name]


def test_more_shards_than_stay_open_are_read_in_any_order(tmp_path: Path) -> None:
    shards = [write_shard(tmp_path / f"{n}.tar", [(f"s{n}", members(n))]) for n in range(20)]
    ShardManifest("rain", "rain", "test", "photos", tuple(shards)).save(tmp_path)
    reader = ShardReader(tmp_path)
    assert [reader.sample(n, 0).key for n in [*range(20), *range(20)]] == 2 * [f"s{n}" for n in range(20)]


def test_only_the_wanted_members_are_decoded(folder: Path) -> None:
    assert next(iter(ShardReader(folder, members=frozenset()))).mask is None


def test_the_same_samples_give_the_same_bytes(tmp_path: Path) -> None:
    first = write_shard(tmp_path / "a.tar", [("k", members(1))])
    backwards = dict(reversed(members(1).items()))
    assert write_shard(tmp_path / "b.tar", [("k", backwards)]).sha256 == first.sha256
    with tarfile.open(tmp_path / "a.tar") as tar:
        assert all(member.mtime == 0 for member in tar)


def test_a_writer_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def failing():
        yield "k", members(1)
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_shard(tmp_path / "a.tar", failing())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("key", ["k.1", "k 1", "k\n1"])
def test_a_key_with_a_dot_or_a_space_is_refused(tmp_path: Path, key: str) -> None:
    with pytest.raises(ValueError, match="dot"):
        write_shard(tmp_path / "a.tar", [(key, members(1))])


def test_a_duplicate_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"2 samples of a\.tar have 1 keys"):
        write_shard(tmp_path / "a.tar", [("k", members(1)), ("k", members(2))])
    assert list(tmp_path.iterdir()) == []


def altered(folder: Path) -> None:
    data = bytearray((folder / "1.tar").read_bytes())
    data[700] ^= 1
    (folder / "1.tar").write_bytes(data)


def truncated(folder: Path) -> None:
    (folder / "1.tar").write_bytes((folder / "1.tar").read_bytes()[:-1024])


def foreign(folder: Path) -> None:
    (folder / "1.tar").write_bytes((folder / "0.tar").read_bytes())


def missing(folder: Path) -> None:
    (folder / "1.tar").unlink()


def without_index(folder: Path) -> None:
    (folder / "1.idx").unlink()


def another_index(folder: Path) -> None:
    (folder / "1.idx").write_bytes((folder / "0.idx").read_bytes())


@pytest.mark.parametrize("harm", [altered, truncated, foreign, missing, without_index, another_index])
def test_the_error_of_a_changed_shard_names_it(folder: Path, harm) -> None:
    harm(folder)
    with pytest.raises(RestorekitError, match=r"1\.tar.*dvc repro"):
        list(iter_samples(folder))


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", '{"format": 9}', '{"format": 1}', '{"format": 2, "digest": "x", "shards": [{"name": "a"}]}'],
)
def test_a_file_that_is_no_manifest_is_refused(folder: Path, text: str) -> None:
    (folder / "manifest.json").write_text(text)
    with pytest.raises(RestorekitError, match=r"manifest"):
        ShardManifest.load(folder)


def test_an_edited_manifest_is_refused(folder: Path) -> None:
    text = (folder / "manifest.json").read_text()
    (folder / "manifest.json").write_text(text.replace('"samples": 3', '"samples": 2', 1))
    with pytest.raises(RestorekitError, match="altered"):
        ShardManifest.load(folder)


def test_a_manifest_cannot_point_outside_its_folder(tmp_path: Path) -> None:
    ShardManifest("rain", "rain", "test", "p", (Shard("../0.tar", 1, 1, "x", "x"),)).save(tmp_path)
    with pytest.raises(RestorekitError, match="outside"):
        ShardManifest.load(tmp_path)


def test_the_error_of_a_missing_manifest_has_the_command(tmp_path: Path) -> None:
    with pytest.raises(RestorekitError, match="dvc repro"):
        ShardManifest.load(tmp_path)


def test_digests_follow_the_contents(folder: Path) -> None:
    manifest = ShardManifest.load(folder)
    assert manifest.num_samples == 6
    other = ShardManifest("rain", "rain", "test", "photos", manifest.shards[::-1])
    assert other.digest != manifest.digest
