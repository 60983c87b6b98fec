"""An extension of Python-Markdown: what a test runs, ` ```bash run `, is a block of code on the site, too.

Place in the flow: mkdocs.yml -> zensical -> here. GitHub passes over what stands behind the language by itself.
"""

import re
from typing import Any

from markdown import Extension, Markdown
from markdown.preprocessors import Preprocessor

MARKED = re.compile(r"^(\s*```\w+) run\s*$")
BEFORE_FENCES = 40
"""Above the priority of whatever reads blocks of code."""


class _WithoutMarks(Preprocessor):
    def run(self, lines: list[str]) -> list[str]:
        return [MARKED.sub(r"\1", line) for line in lines]


class MarkedFences(Extension):
    """Leaves out the marks."""

    def extendMarkdown(self, md: Markdown) -> None:  # noqa: N802
        """Register with a converter; the name is Python-Markdown's."""
        md.preprocessors.register(_WithoutMarks(md), "marked_fences", BEFORE_FENCES)


def makeExtension(**settings: Any) -> MarkedFences:  # noqa: N802
    """What Python-Markdown looks for."""
    return MarkedFences(**settings)
