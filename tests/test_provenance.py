"""A stage depends on what it imports: dvc.yaml, the digests of states and the check at a stage's end agree."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from restorekit import provenance
from restorekit.errors import RestorekitError
from restorekit.provenance import BY_MODEL, LEFT_OUT, ROOT, left_out, sources, sources_digest, unchanged

PAGES = sorted(path.stem for path in (ROOT / "pipelines").glob("*.py") if path.stem != "__init__")


def declared() -> list[tuple[str, str, list[str]]]:
    """(name, page, deps) of every stage in the project's dvc.yaml files."""
    found = []
    for file in [ROOT / "dvc.yaml", *sorted(ROOT.glob("pipelines/*/dvc.yaml"))]:
        for name, stage in yaml.safe_load(file.read_text())["stages"].items():
            stage = stage.get("do", stage)
            page = re.search(r"python -m pipelines\.(\w+)", stage["cmd"])
            assert page is not None, stage["cmd"]
            place = file.parent.relative_to(ROOT).as_posix()
            found.append((f"{place}:{name}", page[1], [dep for dep in stage["deps"] if dep.startswith(("res", "pip"))]))
    return found


def covers(dep: str, file: str) -> bool:
    return file == dep or file.startswith(f"{dep}/")


@pytest.mark.parametrize(
    ("stage", "page", "deps"), declared(), ids=lambda value: value if isinstance(value, str) else ""
)
def test_an_edit_of_any_imported_source_runs_the_stage_again(stage: str, page: str, deps: list[str]) -> None:
    missing = [f for f in sources(f"pipelines.{page}", stage=page) if not any(covers(dep, f) for dep in deps)]
    assert missing == []


@pytest.mark.parametrize(
    ("stage", "page", "deps"), declared(), ids=lambda value: value if isinstance(value, str) else ""
)
def test_no_dep_is_idle(stage: str, page: str, deps: list[str]) -> None:
    found = sources(f"pipelines.{page}", stage=page)
    assert [dep for dep in deps if not any(covers(dep, file) for file in found)] == []
    assert [dep for dep in deps if not (ROOT / dep).exists()] == []


@pytest.mark.parametrize(
    ("stage", "edited"),
    [
        ("photos", ("rng", "config/run")),
        ("synthesize", ("degradations/optics", "sources/folders", "image/colour", "sources/matching", "layouts")),
        ("shards", ("degradations/optics", "sources/folders", "image/colour", "sources/matching", "layouts")),
        ("train", ("metrics/psnr", "metrics/mask_metrics", "objectives/__init__", "config/run")),
        ("training state", ("metrics/psnr", "metrics/mask_metrics", "objectives/__init__")),
        ("evaluate", ("models/glsgn/network", "shards/reader", "image/reading", "rng", "degradations/holes")),
        ("promote", ("metrics/psnr", "models/checkpoint", "rng", "config/runs")),
        ("report", ("config/runs", "rng")),
    ],
)
def test_files_that_lists_by_hand_once_missed_count(stage: str, edited: tuple[str, ...]) -> None:
    entries = {"shards": "restorekit.shards.staging", "training state": "restorekit.training.loop"}
    found = sources(entries.get(stage, f"pipelines.{stage}"), stage=stage)
    assert {f"restorekit/{name}.py" for name in edited} <= set(found)


def test_every_page_is_a_stage() -> None:
    jobs = {"restore"}  # people's photos: a Ray job whose output nothing else is made of
    assert {page for _, page, _ in declared()} == set(PAGES) - jobs


LOADED = """
import importlib, json, os, sys
import mlflow, torch  # once for all pages, each of which a process of its own then imports
for page in sys.argv[1:]:
    sys.stdout.flush()
    if os.fork() == 0:
        importlib.import_module(f"pipelines.{page}")
        ours = [m for n, m in sys.modules.items() if n.partition(".")[0] in ("restorekit", "pipelines")]
        print(json.dumps([page, [m.__file__ for m in ours if getattr(m, "__file__", None)]]), flush=True)
        os._exit(0)
    assert os.wait()[1] == 0, page
"""


@pytest.fixture(scope="module")
def loaded_by_page() -> dict[str, set[str]]:
    """The files of the project that Python loads for each page."""
    answer = subprocess.run(
        [sys.executable, "-c", LOADED, *PAGES], capture_output=True, text=True, check=True, cwd=ROOT
    )
    pages = dict(json.loads(line) for line in answer.stdout.splitlines() if line.startswith("["))
    return {page: {Path(file).relative_to(ROOT).as_posix() for file in files} for page, files in pages.items()}


@pytest.mark.parametrize("page", PAGES)
def test_what_a_stage_really_imports_is_what_was_read(page: str, loaded_by_page: dict[str, set[str]]) -> None:
    """The modules that Python loads for a page are among those found by reading, or left out with a reason."""
    loaded = loaded_by_page[page]
    assert f"pipelines/{page}.py" in loaded
    unseen = {file for file in loaded - set(sources(f"pipelines.{page}", stage=page)) if not left_out(file, page)}
    assert sorted(unseen - imported_by_left_out(page)) == []


def imported_by_left_out(page: str) -> set[str]:
    """What a page loads through modules that are left out of its dependencies."""
    paths = [ROOT / one.path for one in LEFT_OUT if not one.stages or page in one.stages]
    files = [file for path in paths for file in ([path] if path.is_file() else path.rglob("*.py"))]
    modules = {name for file in files for name in provenance._imported(file.relative_to(ROOT).as_posix())}
    return set(sources(*modules, stage=""))


def test_what_is_left_out_is_there_and_has_a_reason() -> None:
    for one in LEFT_OUT:
        assert (ROOT / one.path).exists(), one.path
        assert one.reason
        assert set(one.stages) <= {*PAGES, "training state", "shards"}


def test_modules_are_imported_by_name_only_where_reading_knows_it() -> None:
    by_name = []
    for file in sorted((ROOT / "restorekit").rglob("*.py")):
        if re.search(r"\bimport_module\(|\b__import__\(", file.read_text()):
            by_name.append(".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"))
    assert {
        name for name in by_name if not any(name == package or name.startswith(f"{package}.") for package in BY_MODEL)
    } == set()


def test_another_models_sources_do_not_count_for_a_training() -> None:
    files = sources("restorekit.models", "restorekit.objectives", stage="training state", models=["dmgn"])
    assert any(file.startswith("restorekit/models/dmgn") for file in files)
    assert not any("glsgn" in file or "madf" in file or "dakd" in file for file in files)


TYPES_ALONE = """\
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    from restorekit import third
"""


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of two rooms and one stage, which imports one of them at its top and the other inside a function."""
    for place, text in {
        "restorekit/__init__.py": "",
        "restorekit/first/__init__.py": TYPES_ALONE,
        "restorekit/first/noun.py": "VALUE = 1\n",
        "restorekit/second.py": "",
        "restorekit/third.py": "",
        "pipelines/toy.py": "from restorekit.first.noun import VALUE\ndef f():\n    import restorekit.second\n",
    }.items():
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_text(text)
    monkeypatch.setattr(provenance, "ROOT", tmp_path)
    return tmp_path


def test_imports_are_followed_and_types_are_not(house: Path) -> None:
    assert sources("pipelines.toy", stage="toy") == [
        "pipelines/toy.py", "restorekit/first/__init__.py", "restorekit/first/noun.py", "restorekit/second.py",
    ]  # fmt: skip


def test_the_digest_is_of_texts_and_of_paths(house: Path) -> None:
    files = sources("pipelines.toy", stage="toy")
    before = sources_digest(files)
    (house / "restorekit/second.py").write_text("# another\n")
    assert sources_digest(files) != before
    (house / "restorekit/second.py").write_text("")
    assert sources_digest(files) == before
    (house / "restorekit/second.py").rename(house / "restorekit/fourth.py")
    assert sources_digest([*files[:-1], "restorekit/fourth.py"]) != before


def test_a_stage_that_nobody_edits_ends_well(house: Path) -> None:
    with unchanged("toy", lambda: {"lr": 0.002}) as check:
        (house / "restorekit/third.py").write_text("# not of this stage\n")
        check()


@pytest.mark.parametrize("edited", ["pipelines/toy.py", "restorekit/first/noun.py", "restorekit/second.py"])
def test_a_source_edited_while_a_stage_runs_fails_it(house: Path, edited: str) -> None:
    said = f"{edited} changed while toy ran.*run the same command again"
    with pytest.raises(RestorekitError, match=said), unchanged("toy", lambda: None):
        (house / edited).write_text("VALUE = 2\n")


def test_parameters_edited_while_a_stage_runs_fail_it(house: Path) -> None:
    settings: dict[str, Any] = {"lr": 0.002}
    said = "its parameters changed while toy ran"
    with pytest.raises(RestorekitError, match=said), unchanged("toy", lambda: settings):
        settings["lr"] = 0.005


def test_parameters_that_no_longer_read_fail_it(house: Path) -> None:
    answers = iter([{"lr": 0.002}])

    def settings() -> dict[str, float]:
        for answer in answers:
            return answer
        raise RestorekitError("params.yaml is not YAML")

    said = "edited while toy ran, and cannot be read: params"
    with pytest.raises(RestorekitError, match=said), unchanged("toy", settings):
        pass


def test_a_failure_of_the_stage_itself_is_what_is_told(house: Path) -> None:
    def fail() -> None:
        (house / "restorekit/second.py").write_text("# another\n")
        raise ValueError("its own")

    with pytest.raises(ValueError, match="its own"), unchanged("toy", lambda: None):
        fail()


def test_a_template_edited_while_a_stage_runs_fails_it(house: Path) -> None:
    (house / "restorekit/first/page.html").write_text("<p>")
    said = "restorekit/first/page.html changed while toy ran"
    with pytest.raises(RestorekitError, match=said), unchanged("toy", lambda: None):
        (house / "restorekit/first/page.html").write_text("<div>")
