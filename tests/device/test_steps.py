"""Training and restoring on a GPU, watched on a fake one: one device, no waits, few launches, a kernel for everything.

Nothing is computed here, and speed is not measured: see docs/cluster.md for what only a GPU can show.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]

# Eager launches of a step, at most: some twentieth above the count of today. By model, precision and phase.
LAUNCHES = {
    "dmgn bf16": [4630], "dmgn fp32": [2870], "glsgn bf16": [3870], "glsgn fp32": [3110],
    "dakd bf16": [940, 1570], "dakd fp32": [725, 1210], "madf bf16": [3820], "madf fp32": [2320],
}  # fmt: skip
MUON = {"dmgn": 126, "glsgn": 120, "dakd": 152, "madf": 345}  # of which a step of Muon takes; one by one 1100 to 2950
ADAMW = 3


@pytest.fixture(scope="session")
def watched(tiny_shards: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The results of steps.py, which runs in a process of its own: the device has to be there before torch."""
    import torch

    compiler = shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        pytest.skip("a fake GPU is compiled, and there is no C++ compiler: apt-get install g++")
    folder, installed = tmp_path_factory.mktemp("device"), Path(torch.__file__).parent
    library, results = folder / "fake_cuda.so", folder / "results.json"
    includes = [f"-I{installed / 'include'}", f"-I{installed / 'include/torch/csrc/api/include'}"]
    linked = [f"-L{installed / 'lib'}", "-lc10", f"-Wl,-rpath,{installed / 'lib'}"]
    build = [compiler, "-std=c++20", "-O0", "-shared", "-fPIC", *includes, str(HERE / "fake_cuda.cpp"), *linked]
    subprocess.run([*build, "-o", str(library)], check=True)
    done = subprocess.run(
        [sys.executable, "-m", "tests.device.steps", str(tiny_shards), str(results)],
        cwd=ROOT, env=os.environ | {"LD_PRELOAD": str(library)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(results.read_text())
    return found


STEPS = [f"{model} {precision}" for model in ("dmgn", "glsgn", "dakd", "madf") for precision in ("bf16", "fp32")]


@pytest.mark.parametrize("case", [*STEPS, "fp16"])
def test_a_step_stays_on_the_device_and_waits_for_nothing(watched: dict[str, Any], case: str) -> None:
    for phase in watched[case]:
        assert phase["waits"] == {}, phase["phase"]
        assert phase["copies"] == {}, phase["phase"]
        assert phase["without_kernel"] == [], phase["phase"]
        assert phase["lacking"] == [], phase["phase"]


@pytest.mark.parametrize("case", STEPS)
def test_a_step_has_few_launches(watched: dict[str, Any], case: str) -> None:
    model, precision = case.split()
    for phase, most in zip(watched[case], LAUNCHES[case], strict=True):
        assert phase["launches"] <= most, phase["phase"]
        assert phase["optimizer"] <= (MUON[model] if precision == "bf16" else ADAMW), phase["phase"]


def test_the_filling_of_holes_takes_a_tenth_of_the_launches_that_it_took(watched: dict[str, Any]) -> None:
    assert watched["filling"]["launches"] <= 806  # of 8064 relaxations one by one, in seven levels of 256 pixels
    assert watched["filling"]["waits"] == watched["filling"]["copies"] == {}


def test_convolutions_find_the_channels_last(watched: dict[str, Any]) -> None:
    """Reflection padding on CUDA returns them first.

    The loss's shift-tolerant trunk pads by repetition and turns its maps; DAKD's context works on vectors, at a quarter
    of the scale.
    """
    for model, known in (("dmgn", {"trunks.py", "features.py"}), ("dakd", {"student.py"})):
        for phase in watched[f"{model} bf16"]:
            assert {place.split(":")[0] for place in phase["turned"]} <= known | {"torch"}


def test_a_training_waits_for_figures_and_validations_alone(watched: dict[str, Any]) -> None:
    """Each record has the reports of a step and the update of the next: figures every 3, a state every 4 steps.

    A state is copied without a wait and written in a thread, the best one, too. Before figures, a state, a validation
    and the end of a phase the host waits once, to know that the averages are finite (world.py).
    """
    records = {one["step"]: [*one["waits"], *one["copies"]] for one in watched["whole training"]}
    found = {step: {place.split(":")[0] for place in places} for step, places in records.items()}
    assert found[1] == set()
    assert found[2] == found[4] == {"world.py"}  # the second phase begins after step 2
    assert found[3] == {"loop.py", "world.py"}
    assert found[5] == {"validation.py", "dakd.py", "world.py"}  # figures of the mask
    assert found[6] == found[3] | found[5]


@pytest.mark.parametrize("model, copies", [("dmgn", 2), ("glsgn", 2), ("dakd", 2), ("madf", 3)])
def test_a_photograph_goes_to_the_device_and_back_without_a_stop(
    watched: dict[str, Any], model: str, copies: int
) -> None:
    """A copy for the image, for its mask, and for the result."""
    found = watched[f"photo {model}"]
    assert found["waits"] == {}
    assert sum(found["copies"].values()) == copies, found["copies"]
    assert {place.split()[1] for place in found["copies"]} == {"_run"}
    assert found["without_kernel"] == []


@pytest.mark.parametrize("model, copies", [("dmgn", 2), ("glsgn", 2), ("dakd", 2), ("madf", 3)])
def test_tiles_go_to_the_second_device_together(watched: dict[str, Any], model: str, copies: int) -> None:
    """In bf16, on cuda:1: a tensor that stayed on cuda:0 would be an error. One copy of all tiles in each direction."""
    found = watched[f"photo {model} in tiles"]
    assert found["tiles"] > 1
    assert found["waits"] == {}
    assert sum(found["copies"].values()) == copies, found["copies"]
    assert found["without_kernel"] == []


def test_what_is_wrong_is_found(watched: dict[str, Any]) -> None:
    """Negative controls: steps of DAKD, each spoilt in one way."""
    spoilt = {name.removeprefix("control "): one for name, one in watched.items() if name.startswith("control ")}
    assert "FakeTensorDeviceMismatchError" in str(spoilt["mixed devices"].get("error", spoilt["mixed devices"]))
    assert any("steps.py" in place for place in spoilt["wait"]["waits"])
    assert any("steps.py" in place for place in spoilt["copy"]["copies"])
    assert spoilt["launches"]["launches"] > LAUNCHES["dakd bf16"][0]
    assert spoilt["turned maps"]["turned"] != {}
    assert "_test_optional_intlist" not in watched["operations"]  # one that torch has for the CPU alone


def test_a_training_that_runs_out_of_memory_is_told_what_to_set(watched: dict[str, Any]) -> None:
    message = watched["control out of memory"]["error"]
    assert "step 0: the GPU's memory does not hold 2 samples of 32 pixels in 1 parts" in message
    assert "Tried to allocate 1.00 GiB" in message
    assert (
        "Raise train.accumulate, lower the batch (train.batch_size or train.batch_per_worker) or train.crop" in message
    )
