"""Mistakes are named before anything heavy is imported: one process, in which every command is called wrongly."""

import json
import subprocess
import sys

import pytest

from fusemix.cli.table import COMMANDS

HEAVY = [
    "torch",
    "lightning",
    "transformers",
    "open_clip",
    "timm",
    "faiss",
    "matplotlib",
    "scipy",
    "pyarrow",
    "datasets",
]
WRONG = {
    **{command: ["--nope", "1"] for command in COMMANDS},
    "cache_features": ["dataset=glyphs", "splits=all", "out=o", "encoders.e5.name=transformers_text",
                       "encoders.e5.options.model=m", "encoders.e5.options.poling=cls"],
    "check": ["dataset=glyphs", "splits=all", "out=o", "encoders.a=hgo"],
    "train": ["train=a", "holdout=0.1", "encoders={image: a, text: b}", "out=o", "adapter.options.dropout=much"],
    "export": ["model=m", "out=o", "encoders.a=timn"],
}  # fmt: skip
SAID = {
    "cache_features": "it has no option 'poling'. Did you mean 'pooling'?",
    "check": "encoders.a: no encoder is called 'hgo'. Did you mean 'hog'?",
    "train": "adapter.options.dropout is 'much', but must be a number.",
    "export": "encoders.a: no encoder is called 'timn'. Did you mean 'timm'?",
    "doctor": "this command takes no settings, but was given: --nope 1",
}
SCRIPT = f"""
import contextlib, io, json, sys
from fusemix.cli import run as cli
told = {{}}
for command, arguments in {WRONG!r}.items():
    for given in (["--help"], arguments):
        sys.argv = ["fusemix", command, *given]
        with contextlib.redirect_stderr(io.StringIO()) as error, contextlib.redirect_stdout(io.StringIO()):
            try:
                cli.run()
            except SystemExit as end:
                told[command] = [end.code, error.getvalue()]
print(json.dumps([told, [name for name in {HEAVY!r} if name in sys.modules]]))
"""


@pytest.fixture(scope="module")
def told_and_imported():
    # A process of its own: here all of it is imported already.
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_wrong_setting_is_refused_and_named(command, told_and_imported):
    code, error = told_and_imported[0][command]
    assert (code, error[:9]) == (2, "fusemix: ")
    assert SAID.get(command, "there is no option '--nope'.") in error


def test_neither_a_mistake_nor_help_imports_anything_heavy(told_and_imported):
    assert told_and_imported[1] == []
