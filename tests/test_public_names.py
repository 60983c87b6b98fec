"""`import fusemix`: every name works, and each is described."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import fusemix
from fusemix.errors import first_line

DOCS = Path(__file__).parents[1] / "docs"


def test_every_public_name_is_there():
    assert [name for name in fusemix.__all__ if getattr(fusemix, name, None) is None] == []
    names: dict[str, object] = {}
    exec("from fusemix import *", names)
    assert set(fusemix.__all__) <= names.keys()


def test_every_public_name_is_described_where_python_is():
    text = (DOCS / "python.md").read_text(encoding="utf-8")
    assert [name for name in fusemix.__all__ if f"fusemix.{name}" not in text] == []
    named = set(re.findall(r"`fusemix\.(\w+)", text))
    assert named <= {*fusemix.__all__, "config", "errors"}


def test_every_public_name_has_a_docstring_of_its_own():
    without = [name for name in fusemix.__all__ if not name.startswith("__") and not getattr(fusemix, name).__doc__]
    assert without == []


def test_importing_the_package_imports_nothing_heavy():
    script = "import sys, fusemix; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "numpy", "lightning", "pyarrow", "omegaconf", "rich"} & set(loaded)


@pytest.mark.parametrize("text", ["", "\n", " \n\t\n"])
def test_an_error_without_a_text_is_told_by_its_kind(text):
    assert first_line(ValueError(text)) == "ValueError"
    assert first_line(ValueError(f"{text}\n two \nthree")) == "two"


def test_no_message_of_an_error_is_cut_by_hand():
    package = Path(fusemix.__file__).parent
    found = [path.name for path in package.rglob("*.py") if "str(error).splitlines()[0]" in path.read_text()]
    assert found == []
