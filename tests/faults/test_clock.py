"""A clock that jumps forward and back changes no result: what waits, waits by a clock that cannot."""

import ast
import itertools
import time

import pytest

from restorekit.distributed.lease import open_states
from restorekit.provenance import PACKAGE
from tests.training.conftest import MakeJob, assert_equal, final, run

DAY_S = 86_400.0
# Where the wall clock is read, and what a jump does there. What waits, waits by a clock that cannot jump.
READ = {
    "tracking/runs.py": "names the moment of a figure",
    "shards/verified.py": "backward: a shard is hashed once more; forward: one that changed just now is noted, and a "
    "later change still shows in its times",
}


def test_a_training_under_a_jumping_clock_ends_with_the_same_weights(
    make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, jumped = make_job("whole", steps=4, validate_every=4), make_job("jumped", steps=4, validate_every=4)
    run(whole)
    turns, now = itertools.count(), time.time()
    monkeypatch.setattr(time, "time", lambda: now + (-1) ** next(turns) * next(turns) * DAY_S)
    run(jumped)
    assert_equal(final(jumped), final(whole))
    assert open_states(jumped.state).latest_step() == 4


def test_the_wall_clock_is_read_where_a_jump_is_known_to_do_no_harm() -> None:
    found = set()
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Attribute) and ast.unparse(node) in (
                "time.time", "time.time_ns", "datetime.now", "datetime.utcnow", "datetime.datetime.now",
            ):  # fmt: skip
                found.add(file.relative_to(PACKAGE).as_posix())
    assert found <= set(READ)
