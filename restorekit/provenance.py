"""The provenance of a result: the sources that its stage imports, the settings that it read, and the code's commit.

One mechanism serves the deps in `dvc.yaml` (a test compares them), the digests that name a training's state and a
staging folder of shards, and the check at a stage's end. Imports are read from the source text, without running it.
"""

import ast
import subprocess
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from pydantic_core import to_jsonable_python

from restorekit.errors import RestorekitError
from restorekit.files import digest_of
from restorekit.tasks import MODELS

PACKAGE = Path(__file__).resolve().parent
ROOT = PACKAGE.parent  # holds restorekit/ and pipelines/

# Packages that import one of their modules by a model's name; the source text does not show these imports.
BY_MODEL = ("restorekit.config", "restorekit.models", "restorekit.objectives")


@dataclass(frozen=True)
class LeftOut:
    """A file or folder whose edits re-run nothing."""

    path: str  # below the project's root
    reason: str
    stages: tuple[str, ...] = ()  # names of stages, "training state" or "shards"; none: all
    followed: bool = False  # whether its imports count; else an import counts only if other files have it, too


LEFT_OUT = (
    LeftOut("restorekit/__init__.py", "holds the version number"),
    LeftOut("restorekit/errors.py", "words what went wrong; a run that went wrong leaves no output"),
    LeftOut("restorekit/entry.py", "ends a program"),
    LeftOut("restorekit/cluster.py", "says where work runs; outputs are the same for any number of workers"),
    LeftOut("restorekit/files.py", "writes files whole; what is in them is made elsewhere"),
    LeftOut("restorekit/storage.py", "carries files to and from a storage and checks that they arrive unchanged"),
    LeftOut("restorekit/paths.py", "says where outputs lie; dvc.yaml names the same places"),
    LeftOut("restorekit/provenance.py", "decides what is re-run, not what comes out"),
    LeftOut(
        "restorekit/distributed",
        "watches and carries a training and records its curves; weights are made in training/",
        ("train", "training state"),
        followed=True,
    ),
    LeftOut("restorekit/tracking", "records what these stages made", ("train", "evaluate", "detect")),
    LeftOut(
        "restorekit/config", "counts by the values that a run or a data set resolves to", ("training state", "shards")
    ),
    LeftOut("restorekit/tasks.py", "names what a training is given by its settings and shards", ("training state",)),
    LeftOut(
        "restorekit/models/authors.py", "imports released weights; no training starts from them", ("training state",)
    ),
    *(
        LeftOut(
            f"restorekit/image/{name}.py",
            "reads and writes people's photos; shards hold decoded pairs",
            ("training state",),
        )
        for name in (
            *("reading", "writing", "photo", "metadata", "keeping", "kinds", "colour", "stated_colour"),
            *("exif", "xmp", "photoshop", "jpeg", "png", "tiff"),
        )
    ),
    LeftOut("pipelines/__init__.py", "is empty"),
)


def sources(*entries: str, stage: str, models: Iterable[str] = MODELS) -> list[str]:
    """The files of the modules `entries` and of all modules that they import, directly or not, sorted.

    Paths are relative to the project's root. `stage` chooses the entries of `LEFT_OUT` that apply. Of the modules that
    belong to one model, those of `models` count.
    """
    named = tuple(models)
    found: set[str] = set()
    seen: set[str] = set()
    waiting = list(entries)
    while waiting:
        module = waiting.pop()
        file = _file_of(module)
        if file is None or file in seen:
            continue
        seen.add(file)
        excluded = left_out(file, stage)
        if excluded is None:
            found.add(file)
        elif not excluded.followed:
            continue
        waiting += _imported(file)
        if module in BY_MODEL:
            waiting += [f"{module}.{model}" for model in named]
    return sorted(found)


def left_out(file: str, stage: str) -> LeftOut | None:
    """The entry of `LEFT_OUT` that covers a file for a stage, or None where its edits count."""
    for one in LEFT_OUT:
        if (file == one.path or file.startswith(f"{one.path}/")) and (not one.stages or stage in one.stages):
            return one
    return None


def sources_digest(files: Iterable[str]) -> str:
    """SHA-256 over the paths and texts of source files, as `sources` lists them."""
    digest = sha256()
    for file in files:
        digest.update(f"{file}\0".encode())
        digest.update((ROOT / file).read_bytes())
    return digest.hexdigest()


@contextmanager
def unchanged(stage: str, settings: Callable[[], Any]) -> Iterator[Callable[[], None]]:
    """A context for a stage that fails if the stage's sources or settings change before its end.

    DVC hashes both only after the command (dvc#11058), so DVC would record an edit during a stage as the source of the
    stage's output. `settings` reads the parameters from their file and returns those of the stage. Yields a check to
    call before outputs are written; the context's end checks once more. A RestorekitError names the changed files.
    """
    before = _fingerprint(stage, settings)

    def check() -> None:
        try:
            now = _fingerprint(stage, settings)
        except RestorekitError as error:
            raise RestorekitError(
                f"the parameters were edited while {stage} ran, and cannot be read: {error}"
            ) from error
        edited = sorted(name for name in before.keys() & now.keys() if before[name] != now[name])
        changed = edited or sorted(before.keys() ^ now.keys())
        if changed:
            raise RestorekitError(
                f"{', '.join(changed)} changed while {stage} ran, so its output belongs to neither version: "
                f"run the same command again (a training goes on where its own settings left it)"
            )

    yield check
    check()


def git_revision() -> str:
    """The commit of the code, or "unknown" where there is no repository or no git, as in a Ray job."""
    try:
        answer = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "unknown"
    return answer.stdout.strip() if answer.returncode == 0 else "unknown"


def _fingerprint(stage: str, settings: Callable[[], Any]) -> dict[str, str]:
    """A digest for each source file of a stage, and one for its settings."""
    files = sources(f"pipelines.{stage}", stage=stage)
    files += _data_files(files)
    return {
        "its parameters": digest_of(to_jsonable_python(settings())),
        **{file: sources_digest([file]) for file in files},
    }


def _data_files(files: Iterable[str]) -> list[str]:
    """The files of the packages of `files` that are no modules: templates and tables that the package ships."""
    packages = {(ROOT / file).parent for file in files if file.endswith("/__init__.py")}
    found = {path for package in packages for path in package.rglob("*") if path.is_file()}
    return sorted(path.relative_to(ROOT).as_posix() for path in found if path.suffix not in (".py", ".pyc"))


def _file_of(module: str) -> str | None:
    """The file of a module of the project, relative to the root; None for a name that is no module."""
    place = module.replace(".", "/")
    for file in (f"{place}.py", f"{place}/__init__.py"):
        if (ROOT / file).is_file():
            return file
    return None


def _imported(file: str) -> tuple[str, ...]:
    """The project's modules that a file imports, inside functions too; packages of imported modules among them."""
    path = ROOT / file
    return _imports_of(path, path.stat().st_mtime_ns, path.stat().st_size)


@cache
def _imports_of(path: Path, _changed_ns: int, _size: int) -> tuple[str, ...]:
    names: set[str] = set()
    for node in _executed(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    ours = [name for name in names if name.partition(".")[0] in ("restorekit", "pipelines")]
    packages = {".".join(name.split(".")[:count]) for name in ours for count in range(1, name.count(".") + 1)}
    return tuple(sorted({*ours, *packages}))


def _executed(tree: ast.AST) -> Iterator[ast.AST]:
    """Every node except those below `if TYPE_CHECKING`, which never run."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            continue
        yield node
        yield from _executed(node)
