"""The notebook of docs/tutorials: it runs from beginning to end, and what is stored in it is of such a run."""

import os
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.helpers.processes import ROOT

NOTEBOOK = ROOT / "docs/tutorials/first_model.ipynb"
LARGEST = 600_000  # bytes with its pictures


def kinds(notebook: nbformat.NotebookNode) -> list[list[str]]:
    """Of each cell with code, what kinds of output it has: an image, text, ... Warnings are none."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    said = ([output for output in cell.outputs if output.get("name") != "stderr"] for cell in cells)
    return [sorted({kind for output in outputs for kind in output.get("data", ["text"])}) for outputs in said]


@pytest.mark.ci
@pytest.mark.timeout(700)  # with minutes to spare on a busy machine
def test_the_notebook_runs_and_its_outputs_are_those_of_a_run(tmp_path, monkeypatch):
    stored = nbformat.read(NOTEBOOK, 4)
    nbformat.validate(stored)
    assert NOTEBOOK.stat().st_size < LARGEST
    monkeypatch.setenv("PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    run = nbformat.read(NOTEBOOK, 4)
    NotebookClient(run, timeout=600, kernel_name="python3").execute()
    assert kinds(run) == kinds(stored)
    assert sum("image/png" in cell for cell in kinds(run)) == 3
    said = "".join(output.text for output in run.cells[-2].outputs if output.name == "stdout")
    assert said.splitlines()[0].endswith("left low")  # the class of validation_0000
