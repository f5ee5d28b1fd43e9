"""The example notebook is run from top to bottom, in a kernel of its own."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[2] / "docs/examples/frames.ipynb"


@pytest.mark.filterwarnings("default")  # of the kernel's own libraries
def test_the_example_notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCHEDIT_STATE", str(tmp_path / "state"))
    book = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(book, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [cell.outputs[0].data["text/plain"] for cell in book.cells if cell.cell_type == "code"]
    assert outputs[1] == (
        "(3,\n RunMoney(spent=Decimal('0.12'), reserved=Decimal('0'), in_doubt=Decimal('0'), max_cost=Decimal('1')))"
    )
    assert outputs[2].count("done") == 3
    assert outputs[3] == "3"
    assert len(list((tmp_path / "outputs/products/files").iterdir())) == 3
