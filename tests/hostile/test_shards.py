"""Shards that someone altered and signed anew: everything that is not a plain sample is refused by name."""

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from restorekit.errors import RestorekitError
from restorekit.image import encode_grey, encode_rgb
from restorekit.shards.manifest import ShardManifest
from tests.hostile.targets import image, read_manifest, read_tar, sample, write_manifest

Members = list[tuple[tarfile.TarInfo, bytes]]


def members(**changes: bytes) -> Members:
    """The members of a sound sample, with changes by name."""
    given = {**sample(), **{name.replace("_", "."): data for name, data in changes.items()}}
    found = []
    for name, data in given.items():
        info = tarfile.TarInfo(f"a.{name}")
        info.size = len(data)
        found.append((info, data))
    return found


def packed(members: Members) -> tuple[bytes, bytes]:
    """The tar and its index, which says of each member what the tar does."""
    buffer, places = io.BytesIO(), []
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for info, data in members:
            tar.addfile(info, io.BytesIO(data))
            stored = -(-info.size // 512) * 512 if info.isreg() else 0
            key, _, name = info.name.partition(".")
            places.append(f"{name} {tar.offset - stored} {info.size} {key}.{name}")
    return buffer.getvalue(), b"v1.2 1\n" + " ".join(places).encode() + b"\n"


def read(tar: bytes, index: bytes, folder: Path) -> None:
    list(read_tar(tar, index, folder))


def test_a_plain_sample_is_read(tmp_path: Path) -> None:
    read(*packed(members()), tmp_path)


def with_a_second_image(found: Members) -> None:
    found.append(found[0])


def with_a_second_encoding(found: Members) -> None:
    info = tarfile.TarInfo("a.clean.bmp")
    info.size = len(image("bmp"))
    found.append((info, image("bmp")))


def with_a_link(found: Members) -> None:
    info = tarfile.TarInfo("a.layer.png")
    info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
    found.append((info, b""))


def named(name: str) -> Callable[[Members], None]:
    def change(found: Members) -> None:
        for info, _ in found:
            info.name = info.name.replace("a.", name, 1)

    return change


@pytest.mark.parametrize(
    "change, says",
    [
        (with_a_second_image, r"has a member of the sample 'a' twice"),
        (with_a_second_encoding, r"'a' of .* has an image in two encodings"),
        (with_a_link, r"no right tar header for its member 'a\.layer\.png'"),
        (named("/etc/a."), r"whose name is no key and a suffix"),
        (named("../../a."), r"whose name is no key and a suffix"),
        (named("b/a."), r"whose name is no key and a suffix"),
        (named("."), r"whose name is no key and a suffix"),
        (lambda found: found.pop(1), r"sample 'a' of .* has no member 'clean'"),
    ],
)
def test_members_that_are_no_plain_files_of_one_sample_are_refused(
    tmp_path: Path, change: Callable[[Members], Any], says: str
) -> None:
    found = members()
    change(found)
    with pytest.raises(RestorekitError, match=rf"{says}.*run `dvc repro"):
        read(*packed(found), tmp_path)


def test_one_sample_twice_is_refused(tmp_path: Path) -> None:
    tar, index = packed(members())
    line = index.partition(b"\n")[2]
    with pytest.raises(RestorekitError, match=r"has a sample twice"):
        list(read_tar(tar, b"v1.2 2\n" + line + line, tmp_path, num_samples=2))


@pytest.mark.parametrize(
    "place, put",
    [(148, b"0000000\0"), (124, b"77777777777\0"), (124, b"\xff" * 12), (156, b"2"), (0, b"b"), (148, b"\x80" * 8)],
    ids=["checksum", "size", "binary size", "a link", "name", "binary checksum"],
)
def test_a_header_that_was_altered_is_refused(tmp_path: Path, place: int, put: bytes) -> None:
    tar, index = packed(members())
    with pytest.raises(RestorekitError, match=r"no right tar header for its member 'a\.degraded\.png'"):
        read(tar[:place] + put + tar[place + len(put) :], index, tmp_path)


def test_a_reordered_tar_is_the_same_sample_or_refused(tmp_path: Path) -> None:
    """With its own index the order of members means nothing; the index of the tar before fits no header."""
    tar, index = packed(members())
    reordered, own_index = packed(members()[::-1])
    (before,) = read_tar(tar, index, tmp_path)
    (after,) = read_tar(reordered, own_index, tmp_path)
    assert np.array_equal(before.degraded, after.degraded)
    assert np.array_equal(before.clean, after.clean)
    with pytest.raises(RestorekitError, match=r"no right tar header for its member"):
        read(reordered, index, tmp_path)


def white(height: int, width: int) -> bytes:
    return encode_rgb(np.full((height, width, 3), 255, np.uint8), "png")


@pytest.mark.parametrize(
    "changes, says",
    [
        ({"clean_png": white(8, 9)}, r"degraded has 8 x 8 pixels, clean 9 x 8"),
        ({"mask_png": encode_grey(np.zeros((4, 8), np.uint8))}, r"mask has 8 x 4 pixels, clean 8 x 8"),
        ({"clean_png": white(8, 8)[:60]}, r"sample 'a' of .* cannot be decoded"),
        ({"clean_png": b""}, r"sample 'a' of .* cannot be decoded"),
        ({"clean_png": b"GIF89a" + bytes(40)}, r"sample 'a' of .* cannot be decoded"),
    ],
)
def test_images_of_unequal_size_or_none_are_refused(tmp_path: Path, changes: dict[str, bytes], says: str) -> None:
    with pytest.raises(RestorekitError, match=says):
        read(*packed(members(**changes)), tmp_path)


def large(encoding: Any) -> bytes:
    """An image whose header says 16000 x 16000 pixels, in the few bytes of a small one."""
    data = bytearray(image(encoding))
    side = 16_000
    if encoding == "png":
        data[16:24] = side.to_bytes(4) * 2
    elif encoding == "bmp":
        data[18:26] = side.to_bytes(4, "little") * 2
    elif encoding == "jpeg":
        at = next(at for at in range(len(data)) if data[at : at + 2] == b"\xff\xc0")
        data[at + 5 : at + 9] = side.to_bytes(2) * 2
    else:
        bits = int.from_bytes(data[21:25], "little") & ~0xFFFFFFF
        data[21:25] = (bits | (side - 1) | (side - 1) << 14).to_bytes(4, "little")
    return bytes(data)


@pytest.mark.parametrize("encoding", ["png", "bmp", "jpeg", "webp"])
def test_an_image_that_lies_about_its_size_takes_no_memory(tmp_path: Path, encoding: str) -> None:
    with pytest.raises(RestorekitError, match=r"state 16000 x 16000 pixels: no more than 178000000 are read"):
        read(*packed(members(clean_png=large(encoding))), tmp_path)


@pytest.mark.parametrize(
    "record", [b"[" * 10_000, b'{"a": NaN}', b"[]", b"3", b"", b"\xff", b'{"a": ' + b"1" * 5000 + b"}"]
)
def test_a_record_that_is_none_is_refused_where_it_is_read(tmp_path: Path, record: bytes) -> None:
    (found,) = read_tar(*packed(members(json=record)), tmp_path)
    if record == b"[]":
        assert found.record == {}
        return
    with pytest.raises(RestorekitError, match=r"the record of sample 'a' is none"):
        _ = found.record


@pytest.mark.parametrize(
    "field, value, says",
    [
        ("name", "../a.tar", "outside"),
        ("name", "/etc/a.tar", "outside"),
        ("name", "a.idx", "no tar in its folder"),
        ("name", ".a.tar", "no tar in its folder"),
        ("name", 7, "the name and the digests of a shard are text"),
        ("sha256", None, "the name and the digests of a shard are text"),
        ("samples", 10**20, "has 100000000000000000000 samples"),
        ("samples", -1, "has -1 samples"),
        ("samples", 0, "names no shards with samples"),
        ("samples", True, "has True samples"),
        ("bytes", "many", "many bytes"),
        ("more", 1, "is no shard manifest"),
    ],
)
def test_a_signed_manifest_with_an_impossible_shard_is_refused(
    tmp_path: Path, field: str, value: Any, says: str
) -> None:
    content = json.loads(write_manifest(tmp_path))
    content["shards"][0][field] = value
    with pytest.raises(RestorekitError, match=rf"manifest\.json.*{says}.*run `dvc repro"):
        read_manifest((json.dumps(content, indent=1, sort_keys=True) + "\n").encode(), tmp_path)


def test_a_manifest_with_a_shard_twice_is_refused(tmp_path: Path) -> None:
    write_manifest(tmp_path)
    found = ShardManifest.load(tmp_path)
    ShardManifest("rain", "rain", "train", "made", found.shards * 2).save(tmp_path)
    with pytest.raises(RestorekitError, match="names a shard twice"):
        ShardManifest.load(tmp_path)


@pytest.mark.parametrize("text", [b"[" * 100_000, b'{"a":' * 100_000, b'{"format": NaN}', b"\xff\xfe", b"1" * 10_000])
def test_json_that_is_too_deep_or_none_is_refused(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "manifest.json").write_bytes(text)
    with pytest.raises(RestorekitError, match=r"the shard manifest at .* cannot be read.*: run `dvc"):
        ShardManifest.load(tmp_path)


def test_json_that_is_too_big_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "manifest.json").open("wb") as file:
        file.truncate(2**29 + 1)  # a file of holes: it takes no room
    with pytest.raises(RestorekitError, match="more than 512 MiB"):
        ShardManifest.load(tmp_path)
