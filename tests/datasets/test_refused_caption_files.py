"""What is said of caption files and split lists that cannot be read."""

import json

import pytest
from dataset_samples import write_table

from fusemix.datasets.caption_files import read_captions, read_list
from fusemix.errors import DatasetError


def read(path, **columns):
    return list(read_captions(path, **{"file_column": None, "caption_column": None, **columns}))


def test_an_absent_caption_file_is_named(tmp_path):
    with pytest.raises(DatasetError, match=r"^there is no caption file .*nowhere\.csv\.$"):
        read(tmp_path / "nowhere.csv")


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        (
            "c.csv",
            "file,caption\na.png,grün\n".encode("utf-16-le"),
            "read as .csv in UTF-8: it looks like UTF-16 without",
        ),
        (
            "c.csv",
            "file,caption\na.png,one\n".encode("utf-16")[:-1],
            "read as .csv in UTF-8: its first bytes say UTF-16",
        ),
        ("c.token", b"a.jpg#0\t\xe4\n", "read as .token in UTF-8: line 1 holds the byte 0xe4"),
        ("captions", b"a.jpg#0\t\xe4\n", "read as text in UTF-8: line 1 holds the byte 0xe4"),
        ("c.json", b'{"images": [', "read as .json in UTF-8: Expecting value: line 1"),
        ("c.jsonl", b'{"file": "a.png", "caption": "one"}\nfile', "read as .jsonl in UTF-8: Expecting value"),
        ("c.csv", b'file,caption\na.png,"' + b"open " * 30_000, "read as .csv in UTF-8: field larger than"),
    ],
)
def test_a_file_that_is_not_what_its_ending_says_is_refused_with_the_reason(name, content, reason, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DatasetError, match=rf"{name} cannot be {reason}"):
        read(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "content"),
    [("c.csv", "file,caption\n"), ("c.jsonl", "\n"), ("c.json", '{"images": []}'), ("c.token", ""), ("c.tsv", "")],
)
def test_a_file_without_captions_is_refused(name, content, tmp_path):
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(DatasetError, match=rf"{name} holds no caption\.$"):
        read(tmp_path / name)


@pytest.mark.parametrize(("ending", "separator"), [("csv", ","), ("tsv", "\t")])
def test_an_unquoted_separator_within_a_caption_is_refused_and_not_cut_off(ending, separator, tmp_path):
    path = tmp_path / f"c.{ending}"
    path.write_text(separator.join(["file", "caption\na.png", "one\nb.png", "two", " three\n"]), encoding="utf-8")
    with pytest.raises(
        DatasetError,
        match=rf"c\.{ending}, row 2 after the header: it has more fields than the header, starting with ' three'\. "
        r"A caption that holds '(,|\\t)' must stand in double quotes\.$",
    ):
        read(path)


def test_a_line_that_is_no_json_object_is_refused(tmp_path):
    path = tmp_path / "c.jsonl"
    path.write_text('{"file": "a.png", "caption": "one"}\n["b.png", "two"]\n', encoding="utf-8")
    with pytest.raises(DatasetError, match=r"c\.jsonl: every line must be a JSON object with a file and a caption\.$"):
        read(path)


@pytest.mark.parametrize(
    ("header", "chosen", "message"),
    [
        (
            ["photo", "caption"],
            {},
            r"none of the usual columns for the file\. It has: photo, caption\. "
            r"Name one as dataset\.options\.file_column=…$",
        ),
        (
            ["file", "words"],
            {},
            r"none of the usual columns for the caption\. It has: file, words\. "
            r"Name one as dataset\.options\.caption_column=…$",
        ),
        (["file", "caption"], {"file_column": "photo"}, r"no column 'photo'\. .* dataset\.options\.file_column=…$"),
        (["file", "caption_1"], {"caption_column": "caption"}, r"no column 'caption'\. It has: file, caption_1\."),
    ],
)
def test_a_column_that_is_not_there_is_named_with_those_that_are(header, chosen, message, tmp_path):
    path = tmp_path / "c.csv"
    write_table(path, header, [["a.png", "one"]])
    with pytest.raises(DatasetError, match=rf"c\.csv has {message}"):
        read(path, **chosen)


@pytest.mark.parametrize("data", [[], {"annotations": []}, "text"])
def test_json_without_a_list_of_images_is_refused(data, tmp_path):
    path = tmp_path / "c.json"
    path.write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(DatasetError, match=r"c\.json is not in Karpathy's layout: it has no list 'images'\.$"):
        read(path)


def test_equal_keys_in_karpathys_layout_are_refused(tmp_path):
    path = tmp_path / "c.json"
    path.write_text('{"images": [{"filename": "a.jpg", "sentences": [{"raw": "a"}], "sentences": [{"raw": "b"}]}]}')
    with pytest.raises(DatasetError, match=r"c\.json: the key 'sentences' occurs twice in an object"):
        read(path)


@pytest.mark.parametrize(
    "entry",
    [
        {"file_name": "a.jpg", "sentences": []},
        {"filename": "a.jpg"},
        {"filename": "a.jpg", "sentences": ["one"]},
        {"filename": "a.jpg", "sentences": [{"tokens": ["one"]}]},
        "a.jpg",
    ],
    ids=["no filename", "no sentences", "sentences of text", "no raw", "no object"],
)
def test_an_entry_that_is_not_in_karpathys_layout_is_shown(entry, tmp_path):
    path = tmp_path / "c.json"
    path.write_text(json.dumps({"images": [entry]}), encoding="utf-8")
    with pytest.raises(
        DatasetError,
        match=r"c\.json: an entry of 'images' is not in Karpathy's layout, "
        r"which has 'filename' and 'sentences' with 'raw' each: .*a\.jpg",
    ):
        read(path)


def test_a_line_that_is_not_in_the_token_layout_is_shown_with_its_number(tmp_path):
    path = tmp_path / "captions.txt"
    path.write_text("a.jpg#0\tone\nimage,caption\n", encoding="utf-8")
    with pytest.raises(
        DatasetError,
        match=r"captions\.txt, line 2: expected file#number<TAB>caption, found 'image,caption'\. "
        r"A file with a header should end in \.csv or \.tsv\.$",
    ):
        read(path)


def test_an_absent_split_list_is_named(tmp_path):
    with pytest.raises(DatasetError, match=r"^there is no split list .*test\.txt\.$"):
        list(read_list(tmp_path / "test.txt"))


def test_a_split_list_in_another_encoding_is_refused(tmp_path):
    path = tmp_path / "test.txt"
    path.write_text("grün.png\n", encoding="latin-1")
    with pytest.raises(
        DatasetError, match=r"the split list .*test\.txt cannot be read as UTF-8: line \d+ holds the byte"
    ):
        list(read_list(path))


@pytest.mark.parametrize("reader", [lambda p: read_captions(p, file_column=None, caption_column=None), read_list])
def test_a_missing_file_is_named_before_anything_is_read(reader, tmp_path):
    with pytest.raises(DatasetError, match=r"^there is no .*nowhere\.csv\.$"):
        reader(tmp_path / "nowhere.csv")
