"""Tables keep all their rows whatever their quotes are, or are refused with the line."""

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fusemix.datasets.caption_files import read_captions
from fusemix.datasets.tables import table_rows
from fusemix.errors import DatasetError

CELLS = st.text(st.sampled_from('ab "\t,\n'), max_size=8)
WORDS = st.text(st.sampled_from('ab "'), max_size=8)


def rows_of(text, separator):
    lines = io.StringIO(text, newline="")
    return [list(row.values()) for _, row in table_rows(Path("t"), lines, separator)]


def written(rows, separator, **how):
    out = io.StringIO()
    csv.writer(out, delimiter=separator, lineterminator="\n", **how).writerows([["file", "caption"], *rows])
    return out.getvalue()


@pytest.mark.parametrize("separator", [",", "\t"])
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
@settings(max_examples=60, deadline=None)
@given(rows=st.lists(st.tuples(st.sampled_from(["x", "y z"]), CELLS), max_size=5))
def test_what_a_csv_writer_wrote_is_read_as_it_was(separator, quoting, rows):
    # A cell that holds a line break and a tab is told from rows of a table without quoting by nothing.
    rows = [(name, cell.replace("\n", "") if separator == "\t" and "\t" in cell else cell) for name, cell in rows]
    assert rows_of(written(rows, separator, quoting=quoting), separator) == [list(row) for row in rows]


@settings(max_examples=120, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["1.png", "2.png"]), WORDS), max_size=6))
def test_a_tsv_without_quoting_loses_no_row_and_no_quote_within(rows):
    found = rows_of("file\tcaption\n" + "".join(f"{name}\t{words}\n" for name, words in rows), "\t")
    assert [name for name, _ in found] == [name for name, _ in rows]
    for (_, read), (_, words) in zip(found, rows, strict=True):
        assert read in (words, words[1:-1].replace('""', '"'))


def test_an_unbalanced_quote_in_a_tsv_is_a_letter(tmp_path):
    path = tmp_path / "c.tsv"
    path.write_text('file\tcaption\n1.png\t"stop sign\n2.png\ta "dog"\n3.png\t"go" sign\n4.png\tlast"\n')
    lines = list(read_captions(path, file_column=None, caption_column=None))
    assert [line.caption for line in lines] == ['"stop sign', 'a "dog"', '"go" sign', 'last"']


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('file,caption\n1.png,a\n2.png,"stop\n3.png,b\n4.png,"go"\n5.png,c\n', 3),
        ('file,caption\n1.png,"stop\n2.png,b\n3.png,c\n', 2),
        ('caption,file\n"stop,1.png\nb,2.png\n"go",3.png\n', 2),
        ('caption,file\nx,0.png\n"stop,1.png\na dog",2.png\n', 3),
        ('id,video,start,file\n1,abc,0,a\n2,def,10,"stop\n3,ghi,20,b\n4,jkl,30,"go"\n', 3),
        ('file,caption\na,x\nb,"one\ntwo\n', 3),
    ],
    ids=["file first", "to the end", "file last", "closed by chance", "numbers", "never closed"],
)
def test_a_field_of_a_csv_that_takes_in_rows_is_refused_with_the_line_of_its_quote(text, line, tmp_path):
    path = tmp_path / "c.csv"
    path.write_text(text)
    with pytest.raises(
        DatasetError, match=rf"c\.csv, line {line}: a double quote is opened and takes in the lines behind"
    ):
        list(read_captions(path, file_column=None, caption_column="start" if "start" in text else None))


def test_quotes_in_a_row_of_a_csv_that_no_writer_wrote_are_letters(tmp_path):
    path = tmp_path / "c.csv"
    path.write_text(
        'file,caption\n1.png,"closed" sign\n"2.png",a "dog"\n"3.png",""go"" sign\n4.png,"red, blue"\n5.png,"end\n'
    )
    lines = list(read_captions(path, file_column=None, caption_column=None))
    assert [line.caption for line in lines] == ['"closed" sign', 'a "dog"', '""go"" sign', "red, blue", '"end']
    assert [line.file for line in lines] == [f"{number}.png" for number in range(1, 6)]
    path.write_text('file,caption\n1.png,a\n2.png,"big", "red" dog\n')
    with pytest.raises(
        DatasetError, match=r"c\.csv, (row 2 after the header: it has more fields|line 3: text follows)"
    ):
        list(read_captions(path, file_column=None, caption_column=None))
    path.write_text('file,caption\n1.png,a\n2.png,"big" one, "red" dog\n')
    with pytest.raises(DatasetError, match=r"c\.csv, line 3: text follows a double quote that ends a field: '2\.png"):
        list(read_captions(path, file_column=None, caption_column=None))


def test_a_caption_of_several_lines_may_hold_commas(tmp_path):
    path = tmp_path / "c.csv"
    path.write_text('caption,file\n"a cat, black\nand white, on a mat",1.png\nx,2.png\n')
    lines = list(read_captions(path, file_column=None, caption_column=None))
    assert [(line.file, line.caption) for line in lines] == [
        ("1.png", "a cat, black\nand white, on a mat"),
        ("2.png", "x"),
    ]


@pytest.mark.parametrize(("ending", "separator"), [("csv", ","), ("tsv", "\t")])
def test_two_columns_of_one_name_are_refused(ending, separator, tmp_path):
    path = tmp_path / f"c.{ending}"
    path.write_text("file,caption,caption\n1.png,a cat,\n".replace(",", separator))
    with pytest.raises(DatasetError, match=rf"c\.{ending}, line 1: two columns are called 'caption', .*caption_1"):
        list(read_captions(path, file_column=None, caption_column=None))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"file": "a", "caption": "x", "caption": "y"}', "the key 'caption' occurs twice in an object"),
        ('{"file": "a", "caption": 0}', "the caption is the number 0, and must be text"),
        ('{"file": "a", "caption": false}', "the caption is the truth value false, and must be text"),
        (
            '{"file": ["a"], "caption": "x"}',
            "the file is a list, .* name another column as dataset.options.file_column=…",
        ),
        ('{"file": "a", "caption": "x", "split": true}', "the split is a bool, True, and must be text"),
    ],
)
def test_a_line_that_says_no_caption_is_refused_with_its_number(line, message, tmp_path):
    path = tmp_path / "c.jsonl"
    path.write_text('{"file": "a", "caption": "x", "split": 1}\n\n' + line + "\n")
    with pytest.raises(DatasetError, match=rf"c\.jsonl, line 3: {message}"):
        list(read_captions(path, file_column=None, caption_column=None))
