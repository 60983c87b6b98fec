"""What is read in the source of a factory is what its module says once it is imported."""

import inspect
import sys

import pytest

from fusemix.cli.parts import PARTS
from fusemix.parts.signatures import stated, stated_in_source

TARGETS = sorted({target for registry in PARTS.values() for target in registry.table.values()})


@pytest.mark.parametrize("target", TARGETS)
def test_the_source_of_every_part_says_what_its_module_says(target):
    module, _, attribute = target.partition(":")
    read = stated_in_source(target)
    factory = getattr(pytest.importorskip(module), attribute)
    assert read.signature.parameters == inspect.signature(factory, eval_str=True).parameters
    assert read.doc == inspect.getdoc(factory)


def written(folder, monkeypatch, text):
    (folder / "stated_part.py").write_text(f"raise SystemExit('imported')\n{text}")
    monkeypatch.syspath_prepend(folder)
    stated_in_source.cache_clear()
    return stated("stated_part:made")


@pytest.mark.parametrize(
    "text",
    [
        "def other():\n    pass",
        "def made(**options):\n    pass",
        "def made(size=sum([1])):\n    pass",
        "@decorated\ndef made():\n    pass",
        "class made(Base):\n    pass",
        "made = 5",
        "def made(",
    ],
)
def test_what_the_source_alone_cannot_say_is_left_to_whoever_imports_it(text, tmp_path, monkeypatch):
    assert written(tmp_path, monkeypatch, text) is None


def test_a_part_is_read_without_being_imported(tmp_path, monkeypatch):
    found = written(
        tmp_path, monkeypatch, "MOST = 3\ndef made(a: int, *, b: 'odd' = MOST, c: list[str] | None = None): 'Made.'"
    )
    a, b, c = found.signature.parameters.values()
    assert (a.annotation, a.default, b.default, c.annotation, c.default) == (int, a.empty, 3, list[str] | None, None)
    assert found.doc == "Made."
    assert "stated_part" not in sys.modules
