"""Wrapping Markdown: the page reads the same, and no line of prose is too long."""

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LONG = " ".join(["words that go on"] * 12)


@pytest.fixture(scope="module")
def wrap():
    specification = importlib.util.spec_from_file_location("wrap", ROOT / "tools" / "wrap.py")
    assert specification and specification.loader
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "text",
    [
        f"{LONG}\n{LONG}\n",
        f"- {LONG}\n  {LONG}\n- short\n",
        f"1. {LONG}\n\n   {LONG}\n2. {LONG}\n",
        f"> {LONG}\n",
        f"{LONG} - {LONG} 3. {LONG} # {LONG}\n",
        f"- **`{LONG} 2. no heading == {LONG}`** {LONG}\n",
        f"# {LONG}\n\n| {LONG} | {LONG} |\n|---|---|\n| a | b |\n",
        f"```bash\n{LONG} {LONG}\n```\n\n{LONG}`a b`{LONG}\n",
        f"```yaml\na: {LONG}\nb:\n  - {LONG}\n```\n",
    ],
)
def test_a_page_reads_as_before_and_its_prose_is_narrow(wrap, text):
    markdown = pytest.importorskip("markdown")

    def read(source: str) -> str:
        html = markdown.markdown(source, extensions=["tables", "fenced_code"])
        parts = re.split(r"(<pre>.*?</pre>)", html, flags=re.DOTALL)  # spaces count in code
        return "".join(part if part.startswith("<pre>") else re.sub(r"\s+", " ", part) for part in parts)

    new = wrap.wrapped(text)
    assert read(new) == read(text)
    prose = [line for line in re.sub(r"```.*?```", "", new, flags=re.DOTALL).splitlines() if line[:1] not in ("|", "#")]
    assert max(map(len, prose)) <= wrap.WIDTH
    assert wrap.wrapped(new) == new


def test_a_paragraph_that_is_narrow_stays_as_it_is(wrap):
    text = "a line\nand another, which could be joined to it\n\n- an item\n  of two lines\n"
    assert wrap.wrapped(text) == text
