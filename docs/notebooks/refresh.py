"""Run a notebook again and keep what it shows, free of what belongs to one machine.

    python docs/notebooks/refresh.py docs/notebooks/glyphs.ipynb

Needs the extras dev and demo. It works in an empty folder, so that nothing of yours is in the way.
"""

import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

TEMPORARY = re.compile(rf"{re.escape(tempfile.gettempdir())}/fusemix-\w+")
TIMEOUT_SEC = 3600


def run(notebook: Any, folder: Path) -> None:
    """Run all cells in a folder; what they show is kept in the notebook.

    Args:
        notebook: as nbformat reads it.
        folder: to work in.

    Raises:
        CellExecutionError: a cell fails.
    """
    NotebookClient(notebook, timeout=TIMEOUT_SEC, resources={"metadata": {"path": str(folder)}}).execute()


def tidy(notebook: Any) -> None:
    """Leave out temporary names, times, empty outputs and what a kernel says of itself."""
    notebook.metadata = {"language_info": {"name": "python"}}
    for cell in notebook.cells:
        cell.metadata = {}
        if cell.cell_type == "code":
            cell.outputs = [_tidied(one) for one in cell.outputs if not _is_empty(one)]


def _tidied(output: Any) -> Any:
    output.pop("metadata", None)
    if output.output_type == "stream":
        output.text = TEMPORARY.sub("/tmp/fusemix-…", output.text)
    else:
        output.metadata = {}
        for kind, text in output.data.items():
            output.data[kind] = TEMPORARY.sub("/tmp/fusemix-…", text) if isinstance(text, str) else text
    return output


def _is_empty(output: Any) -> bool:
    """What is left of a progress bar."""
    return output.output_type == "display_data" and not output.data.get("text/html")


def main(path: Path) -> None:
    """Refresh one notebook in place."""
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        run(notebook, Path(folder))
    tidy(notebook)
    nbformat.write(notebook, path)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
