r"""What people read of figures: how they are called and written, and tables for the terminal, Markdown and LaTeX.

Place in the flow: figures, and names of sets, runs, classes and items -> reports, model cards, what commands print.
Cells are plain text, whatever they hold; each language has one escape, and tables call it themselves. HTML is escaped
by the templates of reports/page/. Not here: which figures stand in which table.
"""

import re
from collections.abc import Callable, Collection, Sequence
from typing import Any

from rich import box
from rich.table import Column
from rich.table import Table as TerminalTable
from rich.text import Text

from fusemix.visible import shown

LABELS = {
    "mrr": "MRR",
    "tied_queries": "ties",
    "exact_at_1": "first as exact search, %",
    "exact_at_10": "ten as exact search, %",
    "skewness_at_10": "skewness of 10-occurrence",
    "over_retrieved": "over-retrieved items, %",
    "never_retrieved": "never retrieved items, %",
    "largest": "most often retrieved item, times",
    "build_sec": "build, s",
    "search_ms_per_query": "search, ms a query",
    "num_bytes": "size, MB",
    "num_unusable": "items that could not be used",
    "recall_sum": "recall sum",
    "mean_recall": "mean recall",
}
SHORT = {"recall": "R", "map": "mAP", "ndcg": "nDCG"}
PERCENT = ("recall", "exact_at", "over_retrieved", "never_retrieved", "mean_recall")
NOTHING = "–"
DAGGER = "†"
"""Marks rows whose figures were not measured on the items of the others."""
FIRST = (0,)
PLAIN, BARE, BOXED = box.SIMPLE, None, box.HEAVY_HEAD
"""Frames of tables for the terminal: a line below the head, nothing, and lines around every cell of the head."""
NAME_WIDTH, HASH = 32, 64
"""Columns of the longest name in `pairs`, and letters of a SHA-256, of which twelve are enough to tell two apart."""


# Names and figures


def metric_label(key: str) -> str:
    """`recall_at_5` as people write it.

    >>> metric_label("recall_at_5"), metric_label("ndcg_at_10"), metric_label("mrr")
    ('R@5', 'nDCG@10', 'MRR')
    """
    if key in LABELS:
        return LABELS[key]
    name, _, depth = key.partition("_at_")
    return f"{SHORT.get(name, name)}@{depth}" if depth else key.replace("_", " ")


def spoken(direction: str) -> str:
    """`text_to_image` -> text to image."""
    return direction.replace("_", " ")


def percent(value: float | int | None) -> str:
    """A fraction as a percentage with one decimal; NOTHING where there is none."""
    return NOTHING if value is None else f"{100 * value:.1f}"


def number(key: str, value: Any) -> str:
    """A figure as text: recall and shares in percent with one decimal, ranks and counts as they are."""
    if value is None:
        return NOTHING
    if key.startswith(PERCENT):
        return "< 0.1" if 0 < value < 0.0005 else percent(value)
    if key == "num_bytes":
        return f"{value / 1e6:,.1f}"
    if isinstance(value, int):
        return f"{value:,}"
    if key == "median_rank":
        return f"{round(value, 1):,.10g}"  # of six digits, the median of millions would lose its last
    if key == "mean_rank":
        return f"{value:,.1f}"
    return f"{value:.3g}" if key.endswith(("_sec", "_query")) else f"{value:.3f}"


class Best(str):
    """A cell in bold: the best figure of its column."""

    __slots__ = ()


# The terminal


def terminal_text(text: str | Text) -> Text:
    """Text in one line, without markup, whose control characters are written out; a Text is taken as it is."""
    if isinstance(text, Text):
        return text
    return Text(shown(text), style="bold" if isinstance(text, Best) else "")


def terminal_table(
    title: str,
    heads: Sequence[str | Column],
    rows: Sequence[Sequence[str | Text]] = (),
    *,
    style: Callable[[Sequence[Any]], str] = lambda row: "",
    frame: box.Box | None = PLAIN,
    is_tight: bool = False,
) -> TerminalTable:
    """A table for the terminal.

    Args:
        title: above it.
        heads: of the columns, the first of words, the others of figures; a Column says otherwise. Where all are empty,
            there is no head.
        rows: cells.
        style: of a row by its cells.
        frame: PLAIN, BARE or BOXED.
        is_tight: whether columns stand as near to one another as can be.
    """
    columns = [_column(place, head) for place, head in enumerate(heads)]
    made = TerminalTable(
        *columns,
        title=Text(shown(title), style="table.title"),
        title_justify="left",
        box=frame,
        pad_edge=frame is BOXED,
        collapse_padding=is_tight,
        show_header=any(str(column.header) for column in columns),
    )
    for row in rows:
        made.add_row(*map(terminal_text, row), style=style(row) or None)
    return made


def _column(place: int, head: str | Column) -> Column:
    if isinstance(head, Column):
        return head.copy()  # a table fills its columns with its cells
    return Column(terminal_text(head), justify="right" if place else "left", no_wrap=True)


def pairs(title: str, rows: Sequence[tuple[str, str]]) -> TerminalTable:
    """A table of names and values; hashes are shortened."""
    columns = [Column(no_wrap=True, max_width=NAME_WIDTH, overflow="ellipsis"), Column(overflow="fold")]
    return terminal_table(title, columns, [(name, _short_hash(value)) for name, value in rows])


def _short_hash(value: str) -> str:
    is_hash = len(value) == HASH and set(value) <= set("0123456789abcdef")
    return f"{value[:12]}…" if is_hash else value


# Markdown

MARKDOWN = re.compile(r"[\\`*\[\]<>|&~$]|(?<!\S)#|(?<![^\W_])_|_(?![^\W_])")
"""An underline within a word is one, and begins nothing; nor does a # within one end a heading."""


def markdown_text(text: object) -> str:
    r"""Text that cannot end a cell of a table, nor begin an emphasis, a link, an entity or a tag; in one line.

    >>> markdown_text("cup | mug")
    'cup \\| mug'
    """
    return MARKDOWN.sub(lambda found: f"\\{found[0]}", _in_one_line(text))


def markdown_table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, words: Collection[int] = FIRST) -> list[str]:
    """A table as lines of Markdown.

    Args:
        heads: of the columns.
        rows: cells.
        words: places of the columns of words; all others hold figures, and stand to the right.
    """
    return [
        _markdown_row(map(markdown_text, heads)),
        "|" + "|".join("---" if place in words else "---:" for place in range(len(heads))) + "|",
        *(_markdown_row(map(_markdown_cell, row)) for row in rows),
    ]


def _markdown_row(cells: Any) -> str:
    return "| " + " | ".join(cells) + " |"


def _markdown_cell(cell: str) -> str:
    return f"**{markdown_text(cell)}**" if isinstance(cell, Best) else markdown_text(cell)


def _in_one_line(text: object) -> str:
    return shown(" ".join(str(text).split()))


# LaTeX

LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\char34{}",  # \textquotedbl stops a paper without T1 fonts
    "[": "{[}",  # after \\ it would begin an option
    "]": "{]}",
    "*": "{*}",  # after \\ it would be one
    "`": r"\char96{}",
    DAGGER: r"\textdagger{}",
    "–": "--",
}
SPECIAL = re.compile(rf"([-',])(?=\1)|[{re.escape(''.join(LATEX))}]")
"""What is written otherwise; of dashes and quotation marks those that would be drawn as one with what follows."""


def latex_text(text: object) -> str:
    r"""Text as LaTeX shows it letter for letter, in one line.

    >>> latex_text("50 % of a_b")
    '50 \\% of a\\_b'
    """
    return SPECIAL.sub(lambda found: f"{found[0]}{{}}" if found[1] else LATEX[found[0]], _in_one_line(text))


def latex_table(
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    groups: Sequence[tuple[str, int]],
    num_above: int,
    caption: str,
) -> str:
    r"""A `table` environment for a paper, which needs \usepackage{booktabs}.

    Args:
        heads: of the columns, the first of words, the others of figures.
        rows: cells.
        groups: words above the heads, and how many columns they stand above, from the second column.
        num_above: of the rows, those that stand above a rule.
        caption: of the table.
    """
    lines = [" & ".join(map(_latex_cell, row)) + r" \\" for row in rows]
    if num_above:
        lines.insert(num_above, r"\midrule")
    starts = [2 + sum(width for _, width in groups[:place]) for place in range(len(groups))]
    spans = [rf"\multicolumn{{{width}}}{{c}}{{{latex_text(words)}}}" for words, width in groups]
    rules = [rf"\cmidrule(lr){{{at}-{at + width - 1}}}" for at, (_, width) in zip(starts, groups, strict=True)]
    ungrouped = [""] * (len(heads) - 1 - sum(width for _, width in groups))
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{latex_text(caption)}}}",
            rf"\begin{{tabular}}{{l{'r' * (len(heads) - 1)}}}",
            r"\toprule",
            " & ".join(["", *spans, *ungrouped]) + r" \\",
            " ".join(rules),
            " & ".join(map(latex_text, heads)) + r" \\",
            r"\midrule",
            *lines,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def _latex_cell(cell: str) -> str:
    return rf"\textbf{{{latex_text(cell)}}}" if isinstance(cell, Best) else latex_text(cell)
