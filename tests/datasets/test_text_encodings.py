"""Tables as spreadsheets write them: UTF-16 and semicolons are read; else a remedy is named that works."""

import json
import re
import subprocess

import pytest
from dataset_samples import captions_of, picture
from published_samples import write_tar

from fusemix.datasets.audiocaps import audiocaps
from fusemix.datasets.caption_files import read_captions, read_list
from fusemix.datasets.prompts import read_class_names
from fusemix.datasets.wavcaps import _forbidden
from fusemix.datasets.webdataset import webdataset
from fusemix.errors import DatasetError, LatentStoreError
from fusemix.latents.foreign import read_ids

CAPTIONS = [("a.png", "ein grüner Frosch"), ("b.png", "„zwei“; drei, vier")]
LAYOUTS = {
    "c.csv": "file,caption\n" + "".join(f'{file},"{caption}"\n' for file, caption in CAPTIONS),
    "c.tsv": "file\tcaption\n" + "".join(f"{file}\t{caption}\n" for file, caption in CAPTIONS),
    "c.jsonl": "".join(json.dumps({"file": f, "caption": c}, ensure_ascii=False) + "\n" for f, c in CAPTIONS),
    "c.json": json.dumps(
        {"images": [{"filename": f, "sentences": [{"raw": c}]} for f, c in CAPTIONS]}, ensure_ascii=False
    ),
    "c.txt": "".join(f"{file}#0\t{caption}\n" for file, caption in CAPTIONS),
}


def read(path, file_column=None, caption_column=None):
    lines = read_captions(path, file_column=file_column, caption_column=caption_column)
    return [(line.file, line.caption) for line in lines]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("name", LAYOUTS)
def test_a_byte_order_mark_says_the_encoding_in_every_layout(tmp_path, name, encoding):
    (tmp_path / name).write_bytes(LAYOUTS[name].encode(encoding))
    assert read(tmp_path / name) == CAPTIONS


def test_a_mark_of_the_other_byte_order_is_read_too(tmp_path):
    (tmp_path / "c.csv").write_bytes("\ufeff".encode("utf-16-be") + LAYOUTS["c.csv"].encode("utf-16-be"))
    assert read(tmp_path / "c.csv") == CAPTIONS


@pytest.mark.parametrize("encoding", ["windows-1252", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("name", LAYOUTS)
def test_the_command_that_a_refusal_names_makes_a_file_that_is_read(tmp_path, name, encoding):
    path = tmp_path / "it's in" / name
    path.parent.mkdir()
    path.write_bytes(LAYOUTS[name].encode(encoding))
    with pytest.raises(DatasetError) as refusal:
        read(path)
    command = re.search(r"iconv -f .*", str(refusal.value))[0]
    assert f"-f {encoding.replace('utf-16-', 'utf-16')} " in command
    subprocess.run(command, shell=True, check=True)
    assert read(path.with_name(f"c-utf8{path.suffix}")) == CAPTIONS


def test_bytes_that_latin_1_prints_are_called_latin_1_with_their_line(tmp_path):
    (tmp_path / "c.csv").write_bytes("file,caption\na.png,one\nb.png,grün\n".encode("latin1"))
    with pytest.raises(
        DatasetError, match=r"line 3 holds the byte 0xfc, .* in latin1; if it is: iconv -f latin1 -t ut"
    ):
        read(tmp_path / "c.csv")


def test_a_header_of_semicolons_that_gives_the_columns_is_read_so(tmp_path):
    rows = ['a.png;"eins; zwei, drei"', 'b.png;"ein ""Stopp"""', "c.png;vier, fünf"]
    (tmp_path / "c.csv").write_text("\n".join(["file;caption", *rows, ""]), encoding="utf-8")
    captions = ["eins; zwei, drei", 'ein "Stopp"', "vier, fünf"]
    assert read(tmp_path / "c.csv") == list(zip(["a.png", "b.png", "c.png"], captions, strict=True))


def test_a_csv_of_tabs_and_a_tsv_of_commas_are_read_by_what_their_headers_hold(tmp_path):
    (tmp_path / "c.csv").write_text("file\tcaption\na.png\tone, two\n")
    (tmp_path / "c.tsv").write_text('file,caption\na.png,"one, two"\n')
    assert read(tmp_path / "c.csv") == read(tmp_path / "c.tsv") == [("a.png", "one, two")]


def test_columns_of_one_s_own_between_semicolons_are_told_and_can_be_named(tmp_path):
    (tmp_path / "c.csv").write_text("bild;text_de\na.png;eins\n")
    with pytest.raises(DatasetError, match=r"It has: bild, text_de \(parted by semicolons, .*file_column=…"):
        read(tmp_path / "c.csv")
    assert read(tmp_path / "c.csv", "bild", "text_de") == [("a.png", "eins")]


def test_a_comma_stays_what_separates_where_it_gives_the_columns(tmp_path):
    (tmp_path / "c.csv").write_text("file;x,file,caption\nno.png,a.png,one;two\n")
    assert read(tmp_path / "c.csv") == [("a.png", "one;two")]


def test_an_unquoted_semicolon_in_a_caption_is_refused_by_that_name(tmp_path):
    (tmp_path / "c.csv").write_text("file;caption\na.png;one;two\n")
    with pytest.raises(DatasetError, match=r"A caption that holds ';' must stand in double quotes"):
        read(tmp_path / "c.csv")


def test_other_readers_of_tables_read_utf_16_and_name_the_remedy_of_latin_1(tmp_path):
    readers = {
        "list.txt": (lambda path: list(read_list(path)), "grün.png\n", ["grün.png"]),
        "names.txt": (read_class_names, "n1 grün\n", {"n1": "grün"}),
        "names.json": (read_class_names, '{"n1": "grün"}', {"n1": "grün"}),
        "black.json": (lambda path: _forbidden(str(path)), '{"FreeSound": ["grün"]}', {"FreeSound": {"grün"}}),
        "ids.txt": (read_ids, "grün\n", ["grün"]),
        "ids.json": (read_ids, '["grün"]', ["grün"]),
        "ids.csv": (read_ids, "id;x\ngrün;1\n", ["grün"]),
    }
    for name, (reader, text, found) in readers.items():
        path = tmp_path / name
        for encoding in ("utf-16", "utf-8"):
            path.write_bytes(text.encode(encoding))
            assert reader(path) == found, (name, encoding)
        path.write_bytes(text.encode("latin1"))
        with pytest.raises((DatasetError, LatentStoreError), match=r"iconv -f latin1 -t utf-8"):
            reader(path)


def test_the_authors_csv_of_audiocaps_may_have_gone_through_a_spreadsheet(tmp_path):
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "7.wav").write_bytes(b"RIFF")
    table = "audiocap_id;youtube_id;start_time;caption\r\n7;abc;30;A dog, barking\r\n"
    (tmp_path / "test.csv").write_bytes(table.encode("utf-16"))
    pairs = audiocaps(split="test", clips=str(tmp_path / "clips"), annotations=str(tmp_path))
    assert captions_of(pairs) == {"7.wav": ["A dog, barking"]}


def test_a_caption_of_a_tar_may_be_utf_16_with_its_mark(tmp_path):
    write_tar(tmp_path / "tars" / "0.tar", [("1.png", picture(1)), ("1.txt", "grün".encode("utf-16"))])
    assert captions_of(webdataset(split="all", folder=str(tmp_path / "tars"))) == {"0/1": ["grün"]}
