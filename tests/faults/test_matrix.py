"""The fault matrix names tests that exist, and docs/reliability.md has its table.

`python -m tests.faults.test_matrix` writes the table.
"""

import ast
from functools import cache

from tests.faults.matrix import DOCUMENT, MATRIX, ROOT, written


@cache
def functions(file: str) -> dict[str, bool]:
    """The tests of a file below tests/, each with whether it is slow."""
    tree = ast.parse((ROOT / "tests" / file).read_text(encoding="utf-8"))
    return {
        node.name: any("mark.slow" in ast.unparse(one) for one in node.decorator_list)
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


def slow() -> frozenset[str]:
    named = [name.split("::") for row in MATRIX for name in row.tests]
    return frozenset(f"{file}::{test}" for file, test in named if functions(file).get(test))


def test_every_row_names_tests_that_exist() -> None:
    named = [name.split("::") for row in MATRIX for name in row.tests]
    assert [f"{file}::{test}" for file, test in named if test not in functions(file)] == []
    assert all(row.tests for row in MATRIX)


def test_the_document_has_the_table() -> None:
    document = DOCUMENT.read_text(encoding="utf-8")
    assert document == written(document, slow()), "run `python -m tests.faults.test_matrix`"


if __name__ == "__main__":
    DOCUMENT.write_text(written(DOCUMENT.read_text(encoding="utf-8"), slow()), encoding="utf-8")
