"""params.yaml: what two readers could take for two values is refused, with its line and what to write."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from ruamel.yaml import YAML

from restorekit.config import check_params, load_params
from restorekit.config.document import MAX_BYTES, parse_document, read_document
from restorekit.errors import RestorekitError
from tests.shipped import FILES, ROOT, shipped_values

HERE = Path("params.yaml")
TENFOLD = "a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9)
)


@pytest.mark.parametrize(
    "text, says",
    [
        ("a: 1\nb: 017", r"line 2: 017 is not the same in YAML 1\.1 and in YAML 1\.2.*write 17 without the leading 0"),
        ("a: 08", r"line 1: 08 is not the same.*write 8 without"),
        ("a: yes", r"line 1: yes is not the same.*write true, or 'yes' in quotes"),
        ("a: Off", r"line 1: Off is not the same.*write false"),
        ("a: 1_000", r"1_000 is not the same.*plain digits"),
        ("a: 1:30", r"1:30 is not the same"),
        ("a: 0o17", r"0o17 is not the same"),
        ("a: 0b11", r"0b11 is not the same"),
        ("seed: 1\nb: 2\nseed: 3", r"line 3: the key 'seed' stands twice, in lines 1 and 3; keep one"),
        ("a: {b: 1, 'b': 2}", r"the key 'b' stands twice"),
        ("a: !!python/object/apply:os.system [ls]", r"line 1: the tag !!python/object/apply:os\.system is not read"),
        ("a: !mine 1", r"the tag !mine is not read; write a plain value"),
        ("1: x", r"line 1: a key is a name, found '1'; put a name like this in quotes"),
        ("? [a]\n: x", r"a key is a name, found 'a list or a mapping'"),
        ("a: &a [*a]", r"line 1: an anchor holds itself"),
        (TENFOLD, r"line \d: with its anchors written out it holds more than 50000 values"),
        ("a: " + "[" * 100_000, r"line 1: values are nested more than 32 deep"),
        ("- " * 100_000, r"nested more than 32 deep"),
        ("a: 1\n---\nb: 2", r"line 2: a second document begins"),
        ("a: " + "1" * 5000, r"is not YAML"),
        ("a: 2026-13-45", r"is not YAML"),
    ],
)
def test_what_is_not_plain_is_refused_with_its_line(text: str, says: str) -> None:
    with pytest.raises(RestorekitError, match=rf"params\.yaml.*{says}"):
        parse_document(text, HERE)


def test_anchors_and_merges_within_bounds_are_read() -> None:
    text = "a: &a {b: 1, c: 2}\nd: *a\ne:\n  <<: *a\n  c: 3\n"
    assert parse_document(text, HERE) == {"a": {"b": 1, "c": 2}, "d": {"b": 1, "c": 2}, "e": {"b": 1, "c": 3}}


@pytest.mark.parametrize("text", ["1e-3", "-2E+4", "1.e3", ".5", "-0", "12", "0x1F", "1.5e-7", "null", "true", "a-b"])
def test_a_number_is_read_as_dvc_reads_it(text: str) -> None:
    """1e-3 is text in YAML 1.1, which PyYAML follows, and a number in 1.2, which DVC follows."""
    found = parse_document(f"a: {text}", HERE)
    assert found == YAML(typ="safe").load(f"a: {text}")
    assert type(found["a"]) is type(YAML(typ="safe").load(f"a: {text}")["a"])


@pytest.mark.parametrize("file", [*FILES, "dvc.yaml"])
def test_the_shipped_files_are_read_as_before_and_as_by_dvc(file: str) -> None:
    text = (ROOT / file).read_text()
    assert parse_document(text, HERE) == yaml.safe_load(text) == YAML(typ="safe").load(text)


def test_a_huge_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("a" * (MAX_BYTES + 1))
    with pytest.raises(RestorekitError, match="it is no file of parameters"):
        read_document(tmp_path / "params.yaml")
    with pytest.raises(RestorekitError, match="cannot be read"):
        read_document(tmp_path)


@pytest.mark.parametrize(
    "place, value, says",
    [
        (("seed",), True, r"seed: a number is expected \(found True\)"),
        (("seed",), "3", r"seed: a number is expected \(found '3'\)"),
        (("train", "lr"), True, r"train\.lr: a number is expected"),
        (("train", "lr"), "1e-3", r"train\.lr: a number is expected \(found '1e-3'\)"),
        (("train", "use_gpu"), 1, r"train\.use_gpu: true or false is expected"),
        (("train", "use_gpu"), "yes", r"train\.use_gpu: true or false is expected"),
        (("train", "betas"), [0.5, False], r"train\.betas: a number is expected"),
        (("train", "lr"), float("nan"), r"train\.lr: .*finite"),
        (("train", "lr"), float("inf"), r"train\.lr: .*finite"),
        (("datasets", "rain", "severity"), [False, 1], r"datasets\.rain\.severity: a number is expected"),
        (("photos", "packages"), "true", r"photos\.packages: true or false is expected"),
    ],
)
def test_a_value_of_another_kind_is_not_converted(place: tuple[str, ...], value: Any, says: str) -> None:
    values = shipped_values()
    section = values
    for key in place[:-1]:
        section = section[key]
    section[place[-1]] = value
    with pytest.raises(RestorekitError, match=says):
        check_params(values)


@pytest.mark.parametrize(
    "name", ["../x", "dmgn-rain/../../x", "/etc/x", "dmgn-rain\n", "dmgn-rain\0", "", "..", "." * 90]
)
def test_a_name_cannot_leave_its_folder(name: str) -> None:
    for section in ("runs", "datasets"):
        values = shipped_values()
        values[section][name] = next(iter(values[section].values()))
        with pytest.raises(RestorekitError, match=rf"{section}\."):
            check_params(values)


def test_a_second_file_lies_in_a_folder_with_a_name_and_not_over_itself(tmp_path: Path) -> None:
    folder = tmp_path / "more"
    folder.mkdir()
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    (folder / "params.yaml").write_text("over: more/params.yaml\nruns: {}\n")
    with pytest.raises(RestorekitError, match="lies over itself"):
        load_params(tmp_path / "params.yaml", folder / "params.yaml")
    (tmp_path / "second.yaml").write_text("runs: {}\n")
    with pytest.raises(RestorekitError, match=r"write the folder's name, not '\.\.'"):
        load_params(tmp_path / "params.yaml", folder / ".." / "second.yaml")
