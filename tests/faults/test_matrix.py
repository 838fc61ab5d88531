"""The fault matrix cannot rot: its tests exist, and no fault that must be covered is missing."""

import ast
from collections import Counter

import pytest

from tests.faults.matrix import MATRIX
from tests.helpers.processes import ROOT

COVERED = {
    "files": {
        *("truncated", "zero bytes", "HTML named .mp4", "playlist named .mp4", "no video stream", "no audio stream"),
        *("variable frame rate", "edit list", "rotation", "odd size", "10 bit", "first pts not 0", "1 and 3 frames"),
        *("unreadable", "FIFO", "symlink out of the folder", "missing", "randomly damaged"),
    },
    "lists": {
        *("gaps", "negative", "non-integer", "duplicate, same label", "duplicate, other label", "../", "spaces"),
        *("$(...)", "ends in 4", "blank", "comments", "CRLF", "BOM", "not UTF-8", "empty", "thousands, generated"),
    },
    "mel store": {"missing", "stale", "cut", "wrong settings"},
    "runs": {
        *("kill -9 of one rank", "SIGTERM in every phase", "disk full", "read-only folder", "non-finite loss"),
        *("damaged checkpoint", "malicious pickle", "changed settings on resume", "other number of ranks"),
    },
}


def functions_of(file: str) -> list[str]:
    """Names of the tests that pytest collects from a file; one that a later one of the same name hides counts twice."""
    content = ast.parse((ROOT / "tests" / file).read_text())
    return [node.name for node in content.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]


@pytest.mark.parametrize("file", sorted({row.test.partition("::")[0] for row in MATRIX}))
def test_every_test_of_the_matrix_exists(file):
    assert (ROOT / "tests" / file).name.startswith("test_")
    found = Counter(functions_of(file))
    wanted = {row.test.partition("::")[2] for row in MATRIX if row.test.startswith(f"{file}::")}
    assert {name for name in wanted if found[name] != 1} == set()


@pytest.mark.parametrize("area", COVERED)
def test_every_fault_is_covered(area):
    assert COVERED[area] - {row.fault for row in MATRIX if row.area == area} == set()
    assert {row.area for row in MATRIX} == set(COVERED)


def test_no_row_stands_twice():
    assert [row for row, count in Counter(MATRIX).items() if count > 1] == []
    assert all(row.expected for row in MATRIX)
