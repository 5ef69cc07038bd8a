"""No bytes make a reader fail otherwise than by a RestorekitError, and what the fuzzer once found stays refused."""

import copy
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from restorekit.config import Params, check_params
from restorekit.errors import RestorekitError
from tests.hostile.targets import TARGETS, refused
from tests.shipped import shipped_values

CORPUS = Path(__file__).with_name("corpus")
FINDINGS = sorted(path.relative_to(CORPUS).as_posix() for path in CORPUS.rglob("*") if path.is_file())
EASY = settings(deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
EXAMPLES = {"params": 20, "record": 30, "weights": 30}  # slower than the others

EDIT = st.tuples(st.sampled_from(["put", "cut", "repeat", "insert"]), st.integers(0, 2**16), st.binary(max_size=12))


def edited(data: bytes, edits: list[tuple[str, int, bytes]]) -> bytes:
    for kind, place, put in edits:
        at = place % (len(data) + 1)
        if kind == "put":
            data = data[:at] + put + data[at + len(put) :]
        elif kind == "cut":
            data = data[:at] + data[at + len(put) :] if put else data[:at]
        elif kind == "repeat":
            data = data[:at] + data[max(0, at - 40) :]
        else:
            data = data[:at] + put + data[at:]
    return data


@pytest.mark.parametrize("name", TARGETS)
def test_sound_bytes_are_read(name: str, tmp_path: Path) -> None:
    """Else the tests below would show nothing."""
    assert refused(TARGETS[name], TARGETS[name].sound(), tmp_path) is None


@pytest.mark.parametrize("name", TARGETS)
def test_edited_bytes_are_read_or_refused(name: str) -> None:
    target = TARGETS[name]

    @settings(EASY, max_examples=EXAMPLES.get(name, 50))
    @given(st.lists(EDIT, min_size=1, max_size=4))
    def check(edits: list[tuple[str, int, bytes]]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            refused(target, edited(target.sound(), edits), Path(folder))

    check()


@pytest.mark.parametrize("finding", FINDINGS)
def test_what_was_found_is_read_or_refused(finding: str, tmp_path: Path) -> None:
    refused(TARGETS[finding.partition("/")[0]], (CORPUS / finding).read_bytes(), tmp_path)


VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just(10**400),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(place for key, one in inner for place in places(one, (*at, key)))]


SHIPPED = shipped_values()
PLACES = places(SHIPPED)[1:]


@settings(EASY, max_examples=40)
@given(st.sampled_from(PLACES), VALUE, st.booleans())
def test_any_value_anywhere_in_the_parameters_is_taken_or_named(place: tuple[Any, ...], value: Any, more: bool) -> None:
    values = section = copy.deepcopy(SHIPPED)
    for key in place[:-1]:
        section = section[key]
    if more and isinstance(section, dict):
        section[str(value)[:20]] = value
    else:
        section[place[-1]] = value
    problem = ""
    try:
        assert isinstance(check_params(values), Params)
    except RestorekitError as error:
        problem = str(error)
    assert problem == "" or problem.startswith("params.yaml is not right")
