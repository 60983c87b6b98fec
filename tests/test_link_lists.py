"""The published lists of CC3M and SBU, made into tables by the commands of the guide, and read as img2dataset does.

img2dataset reads a .tsv by pyarrow.csv with a tab between the columns, and takes those that its options name.
"""

import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pytest
import yaml
from test_guides import ROOT, blocks_of, commands_of

GUIDE = ROOT / "docs" / "guides" / "reproduce_the_paper.md"
PAIRS = [
    (
        "a very typical bus station",
        "http://lh6.ggpht.com/-IvRtNLNcG8o/TpFyrudaT6I/AAAAAAAAM6o/_11MuAAKalQ/IMG_3422.JPG?imgmax=800",
    ),
    ('" stop " is written on the sign', "http://example.org/2.jpg"),
    ('"an open quote , and a \\ backslash', "https://example.org/3.jpg?a=1&b=2"),
    ("it 's grün , isn 't it ?", "http://example.org/ü.jpg"),
]
OPTIONS = {
    *("url_list", "input_format", "url_col", "caption_col", "output_format", "output_folder", "image_size"),
    *("resize_mode", "resize_only_if_bigger", "processes_count", "thread_count"),
}
"""Of img2dataset, among its documented ones."""


def write_published(folder):
    """Tiny lists as they are published: no headers, lists that go together."""
    for name, pairs in {"Train_GCC-training.tsv": PAIRS, "Validation_GCC-1.1.0-Validation.tsv": PAIRS[::-1]}.items():
        (folder / name).write_text("".join(f"{caption}\t{url}\n" for caption, url in pairs), encoding="utf-8")
    captions, urls = map(list, zip(*PAIRS, strict=True))
    content = {"captions": captions, "image_urls": urls, "user_ids": ["1"] * len(urls)}
    (folder / "sbu-captions-all.json").write_text(json.dumps(content))
    for name, lines in {"captions": captions, "urls": urls}.items():
        (folder / f"SBU_captioned_photo_dataset_{name}.txt").write_text("".join(f"{line}\n" for line in lines))


def downloads():
    """The options of each call of img2dataset in the guide."""
    calls = [
        words
        for block in blocks_of(GUIDE.read_text())
        if block.language == "bash"
        for words in commands_of(block.text)
        if words[0] == "img2dataset"
    ]
    return [dict(zip((word.removeprefix("--") for word in call[1::2]), call[2::2], strict=True)) for call in calls]


def as_img2dataset_reads(path):
    return pa.csv.read_csv(path, parse_options=pa.csv.ParseOptions(delimiter="\t"))


def table_blocks(goal):
    """Blocks of the guide that write a file."""
    blocks = [block.text for block in blocks_of(GUIDE.read_text()) if block.language == "bash"]
    return [text for text in blocks if goal in text and "img2dataset" not in text]


def run_block(text, folder):
    shell = shutil.which("bash") or "sh"
    python = f'python() {{ {shlex.quote(sys.executable)} "$@"; }}\n'
    subprocess.run([shell, "-e", "-c", python + text], cwd=folder, check=True)


def test_the_published_list_as_it_is_has_no_column_that_img2dataset_could_find(tmp_path):
    write_published(tmp_path)
    (tmp_path / "list.tsv").write_text("".join(f"{caption}\t{url}\n" for caption, url in PAIRS[:1] * 2))
    assert not {"url", "caption"} & set(as_img2dataset_reads(tmp_path / "list.tsv").column_names)


@pytest.mark.parametrize("name", ["cc3m-train.tsv", "cc3m-validation.tsv", "sbu.tsv"])
def test_the_commands_of_the_guide_make_tables_that_img2dataset_reads(tmp_path, name):
    write_published(tmp_path)
    (call,) = [call for call in downloads() if call["url_list"] == name]
    blocks = table_blocks(name)
    assert len(blocks) == (2 if name == "sbu.tsv" else 1)
    wanted = PAIRS[::-1] if "validation" in name else PAIRS
    for block in blocks:
        (tmp_path / name).unlink(missing_ok=True)
        run_block(block, tmp_path)
        table = as_img2dataset_reads(tmp_path / name)
        assert (
            list(zip(table[call["caption_col"]].to_pylist(), table[call["url_col"]].to_pylist(), strict=True)) == wanted
        )


def test_img2dataset_is_called_with_options_that_it_has_and_fills_the_folders_that_the_configs_read():
    calls = downloads()
    assert [call["output_folder"] for call in calls] == ["data/cc3m/train", "data/cc3m/validation", "data/sbu"]
    for call in calls:
        assert call.keys() <= OPTIONS
        assert (call["input_format"], call["output_format"]) == ("tsv", "webdataset")
    cc3m, sbu = (yaml.safe_load((ROOT / f"configs/cache/{name}.yaml").read_text()) for name in ("cc3m", "sbu"))
    wanted = [str(Path(cc3m["dataset"]["options"]["folder"]) / split) for split in cc3m["splits"]]
    assert [*wanted, sbu["dataset"]["options"]["folder"]] == [call["output_folder"] for call in calls]
