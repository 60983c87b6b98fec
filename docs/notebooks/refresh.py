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


def tidy(notebook: Any, folder: Path) -> None:
    """Leave out temporary names, empty outputs and what a kernel says of itself; what is printed becomes one output.

    Args:
        notebook: that was run.
        folder: that it was run in.
    """
    notebook.metadata = {"language_info": {"name": "python"}}
    for cell in notebook.cells:
        cell.metadata = {}
        if cell.cell_type == "code":
            cell.outputs = _joined([_tidied(one, folder) for one in cell.outputs if not _is_empty(one)])


def _tidied(output: Any, folder: Path) -> Any:
    def without(text: Any) -> Any:
        if not isinstance(text, str):
            return text
        return TEMPORARY.sub("…", text.replace(f"{folder.resolve()}/", "").replace(f"{folder}/", ""))

    if output.output_type == "stream":
        output.text = without(output.text)
    elif output.output_type in ("display_data", "execute_result"):
        output.metadata = {}
        output.data = {kind: without(text) for kind, text in output.data.items()}
    return output


def _joined(outputs: list[Any]) -> list[Any]:
    """Outputs, of which those that were printed one after another are one."""
    found: list[Any] = []
    for output in outputs:
        before = found[-1] if found else None
        if before and output.output_type == before.output_type == "stream" and output.name == before.name:
            before.text += output.text
        else:
            found.append(output)
    return found


def _is_empty(output: Any) -> bool:
    """What is left of a progress bar."""
    return output.output_type == "display_data" and not output.data.get("text/html")


def main(path: Path) -> None:
    """Refresh one notebook in place."""
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        run(notebook, Path(folder))
        tidy(notebook, Path(folder))
    nbformat.write(notebook, path)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
