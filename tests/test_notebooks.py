"""Notebooks are stored without outputs, and each says the same as the text form beside it."""

from __future__ import annotations

import json
from pathlib import Path

import jupytext
import pytest

FOLDER = Path(__file__).resolve().parent.parent / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


def test_there_are_notebooks() -> None:
    assert NOTEBOOKS


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_stored_without_outputs(notebook: Path) -> None:
    code = [cell for cell in json.loads(notebook.read_text("utf-8"))["cells"] if cell["cell_type"] == "code"]
    assert code and all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_pair_agrees(notebook: Path) -> None:
    both = [jupytext.read(path) for path in (notebook, notebook.with_suffix(".py"))]
    cells = [[(cell.cell_type, cell.source) for cell in one.cells] for one in both]
    assert cells[0] == cells[1], f"run: jupytext --to ipynb notebooks/{notebook.stem}.py"
