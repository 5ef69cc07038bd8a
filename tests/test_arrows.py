"""Imports have one direction: a module imports only from its own room and from the rows above it."""

import ast
from collections.abc import Iterator
from pathlib import Path

from restorekit.provenance import PACKAGE

ROWS = (
    ("errors", "tasks"),
    ("rng", "files", "paths", "provenance", "storage", "entry", "cluster", "layouts", "config", "image"),
    ("sources",),
    ("degradations",),
    ("shards",),
    ("models", "metrics"),
    ("losses", "objectives", "weights"),
    ("training",),
    ("detection",),
    ("distributed",),
    ("inference",),
    ("evaluation",),
    ("tracking",),
    ("restoring",),
    ("report", "ui"),
    ("cli", "paper_params"),
)
RANK = {room: rank for rank, rooms in enumerate(ROWS) for room in rooms}


def imported_rooms(source: str) -> Iterator[str]:
    """The rooms that a module's source imports from, also inside functions."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module == "restorekit":
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("restorekit."):
            yield str(node.module).split(".")[1]
        elif isinstance(node, ast.Import):
            yield from (alias.name.split(".")[1] for alias in node.names if alias.name.startswith("restorekit."))


def room_of(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def test_no_import_points_upward() -> None:
    files = [file for file in PACKAGE.rglob("*.py") if file.parent != PACKAGE or file.name != "__init__.py"]
    upward = [
        f"{file.relative_to(PACKAGE)} imports {room}"
        for file in files
        for room in imported_rooms(file.read_text())
        if RANK[room] > RANK[room_of(file)]
    ]
    assert upward == []
    assert {room_of(file) for file in files} == set(RANK)


def test_every_form_of_import_is_found() -> None:
    text = "def f():\n    from restorekit.tracking import runs\nfrom restorekit import report\nimport restorekit.shards"
    assert set(imported_rooms(text)) == {"tracking", "report", "shards"}
