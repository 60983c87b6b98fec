"""Caption files in every layout give the same pairs."""

import json

import pytest
from dataset_samples import write_json_lines, write_karpathy, write_table

from fusemix.datasets.caption_files import CaptionLine, read_captions, read_list
from fusemix.errors import DatasetError

CAPTIONS = {
    "red.png": ["A red square, alone", 'It says "stop"'],
    "blue.png": ["Ein blaues Quadrat über Grün", "A blue square"],
}


PAIRS = [(file, caption) for file, captions in CAPTIONS.items() for caption in captions]


def read(path, file_column=None, caption_column=None):
    return list(read_captions(path, file_column=file_column, caption_column=caption_column))


def pairs_of(lines):
    return [(line.file, line.caption) for line in lines]


def csv_file(folder):
    path = folder / "captions.csv"
    write_table(path, ["file", "caption"], PAIRS)
    return path


def csv_of_a_spreadsheet(folder):
    path = folder / "captions.csv"
    write_table(path, ["file", "caption"], PAIRS)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    return path


def csv_with_numbered_columns(folder):
    path = folder / "captions.csv"
    header = ["file_name", "caption_1", "caption_2"]
    write_table(path, header, [[file, *captions] for file, captions in CAPTIONS.items()])
    return path


def tsv_file(folder):
    path = folder / "captions.TSV"
    write_table(path, ["caption", "image"], [(caption, file) for file, caption in PAIRS], separator="\t")
    return path


def jsonl_with_lists(folder):
    path = folder / "captions.jsonl"
    write_json_lines(path, [{"path": file, "captions": captions} for file, captions in CAPTIONS.items()])
    return path


def jsonl_with_a_line_a_caption(folder):
    path = folder / "captions.jsonl"
    write_json_lines(path, [{"audio": file, "text": caption} for file, caption in PAIRS])
    path.write_text(path.read_text(encoding="utf-8").replace("\n", "\n\n"), encoding="utf-8")
    return path


def karpathy_file(folder):
    path = folder / "dataset_flickr30k.json"
    write_karpathy(path, [(file, None, captions) for file, captions in CAPTIONS.items()])
    return path


def token_file(folder):
    path = folder / "results_20130124.token"
    numbered = [(file, k, caption) for file, captions in CAPTIONS.items() for k, caption in enumerate(captions)]
    path.write_text("".join(f"{file}#{k}\t{caption}\r\n" for file, k, caption in numbered), encoding="utf-8")
    return path


LAYOUTS = [
    csv_file,
    csv_of_a_spreadsheet,
    csv_with_numbered_columns,
    tsv_file,
    jsonl_with_lists,
    jsonl_with_a_line_a_caption,
    karpathy_file,
    token_file,
]


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.__name__)
def test_every_layout_gives_the_same_pairs(layout, tmp_path):
    assert pairs_of(read(layout(tmp_path))) == PAIRS


def test_a_line_break_within_quotes_is_part_of_the_caption(tmp_path):
    path = tmp_path / "captions.csv"
    path.write_bytes(b'file,caption\r\na.png,"first line\r\nsecond, line"\r\nb.png,plain\r\n')
    assert pairs_of(read(path)) == [("a.png", "first line\nsecond, line"), ("b.png", "plain")]


@pytest.mark.parametrize("separator", ["\u2028", "\x85", "\x0c", "\x1c"])
def test_a_rare_line_separator_within_a_caption_ends_no_row(separator, tmp_path):
    path = tmp_path / "captions.csv"
    path.write_text(f"file,caption\na.png,one{separator}two\nb.png,three\n", encoding="utf-8")
    assert pairs_of(read(path)) == [("a.png", f"one{separator}two"), ("b.png", "three")]


def test_a_trailing_separator_adds_no_field(tmp_path):
    path = tmp_path / "captions.csv"
    path.write_text("file,caption\na.png,one,\n", encoding="utf-8")
    assert pairs_of(read(path)) == [("a.png", "one")]


def test_a_row_that_ends_early_has_an_empty_caption(tmp_path):
    path = tmp_path / "captions.csv"
    path.write_text("file,caption\na.png\nb.png,two\n", encoding="utf-8")
    assert pairs_of(read(path)) == [("a.png", ""), ("b.png", "two")]


def test_coco_s_two_folders_are_kept_in_the_file_names(tmp_path):
    path = tmp_path / "dataset_coco.json"
    images = [
        {"filepath": "val2014", "filename": "1.jpg", "split": "test", "sentences": [{"raw": "a dog"}]},
        {"filepath": "train2014", "filename": "1.jpg", "split": "restval", "sentences": [{"raw": "a cat"}]},
    ]
    path.write_text(json.dumps({"images": images}), encoding="utf-8")
    assert read(path) == [
        CaptionLine("val2014/1.jpg", "a dog", "test"),
        CaptionLine("train2014/1.jpg", "a cat", "restval"),
    ]


def test_a_split_column_is_read_and_an_empty_cell_names_no_split(tmp_path):
    path = tmp_path / "captions.csv"
    write_table(path, ["file", "caption", "split"], [["a.png", "one", "train"], ["b.png", "two", ""]])
    assert [line.split for line in read(path)] == ["train", None]


@pytest.mark.parametrize("ending", ["jsonl", "json"])
def test_a_file_with_an_empty_list_of_captions_is_not_lost(ending, tmp_path):
    path = tmp_path / f"captions.{ending}"
    if ending == "jsonl":
        write_json_lines(path, [{"file": "a.png", "caption": []}, {"file": "b.png", "caption": ["two"]}])
    else:
        write_karpathy(path, [("a.png", "test", []), ("b.png", "test", ["two"])])
    assert pairs_of(read(path)) == [("a.png", ""), ("b.png", "two")]


def test_columns_can_be_chosen_where_several_would_do(tmp_path):
    path = tmp_path / "captions.csv"
    write_table(path, ["file", "original", "caption_1", "caption_2", "short"], [["a", "b", "c", "d", "e"]])
    assert pairs_of(read(path)) == [("a", "c"), ("a", "d")]
    assert pairs_of(read(path, file_column="original", caption_column="short")) == [("b", "e")]
    assert pairs_of(read(path, caption_column="caption_2")) == [("a", "d")]


def test_a_caption_beside_numbered_ones_is_not_lost(tmp_path):
    path = tmp_path / "captions.csv"
    write_table(path, ["file", "caption_1", "caption", "caption_2"], [["a", "b", "c", "d"]])
    assert pairs_of(read(path)) == [("a", "c"), ("a", "b"), ("a", "d")]


def test_a_file_name_with_a_number_sign_is_read_whole_from_a_token_file(tmp_path):
    path = tmp_path / "captions.txt"
    path.write_text("a#1.jpg#0\tone #2\n\na#1.jpg#1\t\n", encoding="utf-8")
    assert pairs_of(read(path)) == [("a#1.jpg", "one #2"), ("a#1.jpg", "")]


def test_a_split_list_has_one_name_a_line_whatever_wrote_it(tmp_path):
    path = tmp_path / "test.txt"
    path.write_bytes("\ufeffa b.png\r\n\r\n  c.png \nd.png".encode())
    assert list(read_list(path)) == ["a b.png", "c.png", "d.png"]


def test_lines_are_given_before_the_file_is_read_to_its_end(tmp_path):
    path = tmp_path / "c.jsonl"
    row = '{"file": "a.png", "caption": "one\u2028two"}\n'.encode()
    path.write_bytes(row * 50_000 + b"\xff")
    lines = read_captions(path, file_column=None, caption_column=None)
    assert next(lines) == CaptionLine("a.png", "one\u2028two")
    with pytest.raises(
        DatasetError, match=r"c\.jsonl cannot be read as \.jsonl in UTF-8: line 50,001 holds the byte 0xff"
    ):
        list(lines)


@pytest.mark.parametrize("ending", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("c.csv", ["file,caption", "a.png,one\u2028", '"b.png",two']),
        ("c.jsonl", ['{"file": "a.png", "caption": "one\u2028"}', '{"file": "b.png", "caption": "two"}']),
        ("c.token", ["a.png#0\tone\u2028", "b.png#0\ttwo"]),
    ],
)
def test_lines_end_as_any_system_ends_them_and_nowhere_else(name, rows, ending, tmp_path):
    path = tmp_path / name
    path.write_bytes(ending.join(row.encode() for row in rows))
    assert pairs_of(read(path)) == [("a.png", "one\u2028"), ("b.png", "two")]
