"""The notebooks of the documentation run, cell by cell, and show what they promise; small encoders stand in."""

import os
import re
import sys
from pathlib import Path

import nbformat
import pytest
from tiny_run import save_models

import fusemix

NOTEBOOKS = Path(fusemix.__file__).parents[1] / "docs" / "notebooks"
SMALL = """
import fusemix
from fusemix.datasets import glyphs

points = glyphs.named_code_points()[::24]
glyphs.named_code_points = lambda: points
glyphs.HELD_OUT = 30

def smaller(function, **changes):
    return lambda *settings, **keywords: function(*settings, **{{**keywords, **changes}})

bert = {{"name": "transformers_text", "options": {{"model": {model!r}}}}}
encoders = {{"minilm": bert, "minilm_words": bert}}
fusemix.cache_features = smaller(fusemix.cache_features, num_workers=0, encoders=encoders)
fusemix.train = smaller(fusemix.train, **{{"optim.max_epochs": 1, "optim.batch_size": 32}})
fusemix.eval_retrieval = smaller(fusemix.eval_retrieval, num_examples=2)
fusemix.index = smaller(fusemix.index, num_workers=0)
fusemix.fit = smaller(fusemix.fit, **{{"optim.max_epochs": 1, "optim.batch_size": 32}})
"""
"""Every 24th character, a tiny text model and few steps: what the cells say stays as it is."""


BAR = """
from fusemix.progress import LineTimes, in_notebook, progress_bar

with progress_bar() as bar:
    task = bar.add_task("<b>", total=4, note="")
    bar.advance(task, 1)
    is_shown = bar._cell is not None
(in_notebook(), is_shown, bar._row(bar.tasks[0]), LineTimes().is_due())
"""


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("notebook")
    save_models(folder / "models")
    sys.path.insert(0, str(NOTEBOOKS))
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(NOTEBOOKS.parents[1]), before]))
    try:
        from refresh import run, tidy

        notebook = nbformat.read(NOTEBOOKS / "glyphs.ipynb", as_version=4)
        notebook.cells.insert(0, nbformat.v4.new_code_cell(SMALL.format(model=str(folder / "models" / "bert"))))
        notebook.cells.append(nbformat.v4.new_code_cell(BAR))
        run(notebook, folder)
        tidy(notebook, folder)
    finally:
        sys.path.remove(str(NOTEBOOKS))
        os.environ.pop("PYTHONPATH") if before is None else os.environ.update(PYTHONPATH=before)
    return notebook, folder


def shown(notebook, source):
    """What a cell with these words displays, by kind."""
    cell = next(cell for cell in notebook.cells[1:] if cell.cell_type == "code" and source in cell.source)
    return {kind: text for output in cell.outputs for kind, text in output.get("data", {}).items()}


def test_every_cell_runs_and_results_show_themselves(executed):
    notebook, folder = executed
    html = next(
        output.data["text/html"]
        for cell in notebook.cells
        if cell.cell_type == "code" and cell.source == "report"
        for output in cell.outputs
    )
    assert "R@1" in html
    assert "data:image/png;base64," in html
    assert shown(notebook, 'index.search("arrow')["text/html"].count("<img") == 5
    assert "R@1" in shown(notebook, "model.evaluate")["text/html"]
    assert (folder / "reports" / "glyphs" / "report.html").is_file()


def test_progress_is_a_bar_of_html(executed):
    notebook, _ = executed
    shown = notebook.cells[-1].outputs[-1].data["text/plain"]
    assert shown.startswith("(True,\n True,")
    assert '<progress value="1" max="4"></progress>' in shown
    assert "&lt;b&gt;" in shown


def test_bars_leave_nothing_behind_and_nothing_is_said_twice(executed):
    notebook, _ = executed
    outputs = [output for cell in notebook.cells[:-1] if cell.cell_type == "code" for output in cell.outputs]
    assert not [output for output in outputs if "<progress" in str(output)]
    assert not [output for output in outputs if output.output_type == "stream" and output.name == "stderr"]
    assert not [output for output in outputs if output.output_type == "stream" and "next:" in output.text]


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_what_is_committed_is_small_was_run_and_names_no_machine(path):
    text = path.read_text(encoding="utf-8")
    assert len(text) < 500_000
    assert not re.search(r"/(?:home|root|Users|work|tmp/tmp\w*)/", text)
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == [*range(1, len(cells) + 1)]
    assert not [output for cell in cells for output in cell.outputs if output.output_type == "error"]
