"""A cell shows what it was given letter for letter, in each language, and figures are written in one way.

Each language is read back by something else than what wrote it: Markdown by markdown-it and an HTML parser, LaTeX by a
reader of its special letters that is written here, the terminal by rich's reader of escapes.
"""

import io
import re
from html.parser import HTMLParser

import pytest
from markdown_it import MarkdownIt
from rich.console import Console
from rich.table import Column
from rich.text import Text

from fusemix.tables import (
    BOXED,
    Best,
    latex_table,
    latex_text,
    markdown_table,
    markdown_text,
    metric_label,
    number,
    pairs,
    percent,
    terminal_table,
)

NAMES = [
    "cup | mug",
    r"a\|b\\ \ |",
    "_ * [ ] < > & % $ # \\ { }",
    "*bold* _thin_ __all__ ~~gone~~ `code` snake_case_2",
    "[link](http://x.y) ![picture](x.png) <b>tag</b> <!-- no -->",
    "&lt;b&gt; &copy; &#35; AT&T",
    "# title #",
    "C# at 100 % of $x_1$",
    "[red]apple[/red] [/] :smile:",
    "{{ 7 * 7 }} \\input{secret} \\\\[1ex] %",
    "a--b --- it''s ``quoted'' ,,unten'' <<x>> ?` !`",
    "*star first",
    "[option first] (round)",
    "été 犬 ‘dog’ “mat”",
    "שלום | עולם",
    "\"quoted\" ~ ^ and 'plain'",
]
CONTROLLED = {
    "two\nlines\r\nand a\ttab": "two lines and a tab",
    "\x1b[2Jwiped\x07": "\\x1b[2Jwiped\\x07",
    "\u202egod\u2066": "\\u202egod\\u2066",
    "lone \udcff": "lone \\udcff",
    "a\u2028b": "a b",
}
"""What would break a line or be obeyed -> what is shown for it."""


class Cells(HTMLParser):
    """Texts of a table's cells, and the tags within them."""

    def __init__(self):
        super().__init__()
        self.rows, self.tags = [], []

    def handle_starttag(self, tag, attrs):
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
        elif tag not in ("table", "thead", "tbody"):
            self.tags.append(tag)

    def handle_data(self, data):
        if self.rows and self.rows[-1] and data != "\n":
            self.rows[-1][-1] += data


def read_markdown(lines):
    cells = Cells()
    cells.feed(MarkdownIt("commonmark").enable(["table", "strikethrough"]).render("\n".join(lines)))
    return cells


COMMANDS = {
    "textbackslash": "\\",
    "textasciitilde": "~",
    "textasciicircum": "^",
    "textless": "<",
    "textgreater": ">",
    "textbar": "|",
    "textdagger": "†",
    "char34": '"',
    "char96": "`",
}
JOINED = {"---": "—", "--": "–", "''": "”", "``": "“", ",,": "„", "<<": "«", ">>": "»", "?`": "¿", "!`": "¡"}


def read_latex(text):
    """What LaTeX draws for a text without commands of its own; an error for a letter that it would obey."""
    drawn, at = [], 0
    while at < len(text):
        rest = text[at:]
        if found := re.match(r"\\(\w+?)\{\}", rest):
            drawn.append(COMMANDS[found[1]])
        elif (found := re.match(r"\\([{}$&#%_])", rest)) or (found := re.match(r"\{([\[\]*]?)\}", rest)):
            drawn.append(found[1])
        elif found := next((re.match(re.escape(joined), rest) for joined in JOINED if rest.startswith(joined)), None):
            drawn.append(JOINED[found[0]])
        else:
            assert rest[0] not in '\\{}$&#%_^~<>|"[]*`', rest
            found = re.match(".", rest)
            drawn.append(rest[0])
        at += len(found[0])
    return "".join(drawn)


def printed(table, width=200):
    """What a console that knows markup, emoji and colours prints, read back."""
    file = io.StringIO()
    Console(width=width, file=file, force_terminal=True, color_system="truecolor").print(table)
    return Text.from_ansi(file.getvalue()), file.getvalue()


@pytest.mark.parametrize("name", NAMES)
def test_markdown_shows_a_name_letter_for_letter_in_one_cell(name):
    found = read_markdown(markdown_table(["class", name], [[name, "1.0"], [f"in {name}", Best(name)]]))
    assert found.rows == [["class", name], [name, "1.0"], [f"in {name}", name]]
    assert found.tags == ["strong"]


@pytest.mark.parametrize("name", NAMES)
def test_markdown_shows_a_name_letter_for_letter_in_headings_lists_and_quotations(name):
    text = f"# On {markdown_text(name)}\n\n- data: {markdown_text(name)}, revision 1\n\n> **{markdown_text(name)}**\n"
    html = MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(text)
    shown = re.sub(r"</?(h1|ul|li|blockquote|p|strong)>", "", html).split("\n")
    expected = (f"On {name}", f"data: {name}, revision 1", name)
    cells = Cells()
    cells.feed("".join(f"<tr><td>{line}</td></tr>" for line in shown if line))
    assert cells.rows == [[words] for words in expected]
    assert not cells.tags


@pytest.mark.parametrize("name", NAMES)
def test_latex_draws_a_name_letter_for_letter(name):
    written = latex_text(name)
    assert read_latex(written) == name
    assert written[0] not in "[*", "behind the end of a line it would be taken for an option"


def test_the_reader_of_latex_refuses_what_latex_would_obey():
    assert read_latex("a--b ''") == "a–b ”"
    for text in ("50 % of it", "a_b", r"\input{x}", "$x$", "{x}", "a & b"):
        with pytest.raises((AssertionError, KeyError)):
            read_latex(text)


@pytest.mark.parametrize("name", NAMES)
def test_the_terminal_shows_a_name_letter_for_letter_without_markup(name):
    text, _ = printed(terminal_table(name, ["class", name], [[name, Best(name)]]))
    title, head, row = (line for line in text.plain.splitlines() if line.strip(" ─"))
    assert title.rstrip() == name
    assert head.split() == ["class", *name.split()]
    assert row.split() == [*name.split(), *name.split()]


@pytest.mark.parametrize(("name", "shown"), CONTROLLED.items())
def test_what_a_terminal_would_obey_is_written_out_in_every_language(name, shown):
    lines = markdown_table(["class", "x"], [[name, "1"]])
    assert len(lines) == 3
    assert read_markdown(lines).rows[1] == [shown, "1"]
    assert read_latex(latex_text(name)) == shown
    drawn = printed(terminal_table(name, ["class", "x"], [[name, "1"]]))[1]
    for text in (*lines, latex_text(name), re.sub(r"\x1b\[[\d;]*m", "", drawn).replace("\n", "")):
        assert not re.search(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]", text)


def test_the_columns_of_words_stand_to_the_left_and_those_of_figures_to_the_right():
    lines = markdown_table(["run", "figure", "x", "y"], [["a", "R@1", "1", "2"]], words=range(2))
    assert lines[1] == "|---|---|---:|---:|"
    html = MarkdownIt("commonmark").enable("table").render("\n".join(lines))
    assert html.count('<td style="text-align:right">') == 2


def test_a_table_in_latex_has_groups_a_rule_and_the_best_in_bold():
    rows = [["linear", "1.0", "2.0", "3.0"], ["a_b", Best("5.0"), "6.0", "11.0"]]
    text = latex_table(["Run", "R@1", "R@5", "Sum"], rows, groups=[("text & image", 2)], num_above=1, caption="50 %")
    lines = text.splitlines()
    assert lines[2:4] == [r"\caption{50 \%}", r"\begin{tabular}{lrrr}"]
    body = lines[lines.index(r"\toprule") + 1 : lines.index(r"\bottomrule")]
    assert body == [
        r" & \multicolumn{2}{c}{text \& image} &  \\",
        r"\cmidrule(lr){2-3}",
        r"Run & R@1 & R@5 & Sum \\",
        r"\midrule",
        r"linear & 1.0 & 2.0 & 3.0 \\",
        r"\midrule",
        r"a\_b & \textbf{5.0} & 6.0 & 11.0 \\",
    ]


def test_tables_for_the_terminal_share_no_column():
    column = Column("run", overflow="fold")
    first, second = (terminal_table("t", [column, "x"], [[name, "1"]]) for name in ("one", "two"))
    assert "two" not in printed(first)[0].plain
    assert "one" not in printed(second)[0].plain


def test_rows_have_a_style_and_cells_that_are_texts_keep_theirs():
    rows = [["fine", Text("thin", style="italic")], ["no gpu", Best("9.0")]]
    style = lambda row: "yellow" if row[0].startswith("no") else ""  # noqa: E731
    written = printed(terminal_table("t", ["a", "b"], rows, style=style, frame=BOXED))[1]
    assert "\x1b[3mthin" in written
    assert "\x1b[33m" in written.partition("no gpu")[0].rpartition("\n")[2]
    assert "\x1b[1;33m 9.0" in written


def test_names_and_values_stand_without_a_head_and_hashes_are_short():
    lines = printed(pairs("index", [("adapters", "0123456789ab" + "c" * 52), ("not a hash", "g" * 64)]))[0].plain
    assert [line.split() for line in lines.splitlines() if line.strip()] == [
        ["index"],
        ["adapters", "0123456789ab…"],
        ["not", "a", "hash", "g" * 64],
    ]


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("recall_at_1", 0.51234, "51.2"),
        ("recall_at_1", 0.0, "0.0"),
        ("recall_at_1", 0.0002, "< 0.1"),
        ("recall_sum", 4.209, "420.9"),
        ("mrr", 0.61234, "0.612"),
        ("median_rank", 1234.5, "1,234.5"),
        ("median_rank", 2.0, "2"),
        ("median_rank", 2_345_678.5, "2,345,678.5"),
        ("mean_rank", 12.345, "12.3"),
        ("queries", 25010, "25,010"),
        ("search_ms_per_query", 0.02345, "0.0234"),
        ("num_bytes", 1_500_000, "1.5"),
        ("mrr", None, "–"),
    ],
)
def test_each_figure_has_its_own_way_of_being_written(key, value, text):
    assert number(key, value) == text


def test_a_share_is_a_percentage_and_a_dash_where_it_was_not_measured():
    assert [percent(value) for value in (0.5, 1, 0.00049, None)] == ["50.0", "100.0", "0.0", "–"]


@pytest.mark.parametrize(
    ("key", "label"), [("recall_at_5", "R@5"), ("map_at_10", "mAP@10"), ("ndcg_at_10", "nDCG@10"), ("mrr", "MRR")]
)
def test_metrics_are_named_as_papers_do(key, label):
    assert metric_label(key) == label
