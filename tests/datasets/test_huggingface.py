"""Data sets that the library `datasets` loads: column mappings, undecoded media, and what is said of bad copies."""

import io
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dataset_samples import (
    COLUMNS,
    PICTURES,
    captions_of,
    contents_of,
    encoded_column,
    excluded_of,
    picture,
    sound,
    write_parquet,
)
from datasets import Dataset, Features, Image, Value, load_dataset
from PIL import Image as PILImage

from fusemix.datasets.hub import load_rows
from fusemix.datasets.huggingface import huggingface
from fusemix.errors import DatasetError


def test_each_row_is_an_item_where_no_column_says_otherwise(copy):
    pairs = huggingface(split="train", path=copy(), columns=COLUMNS)
    assert captions_of(pairs) == {"0": ["one"], "1": ["two"], "2": ["three"]}
    assert contents_of(pairs.left) == dict(zip("012", PICTURES, strict=True))


def test_a_column_that_is_marked_as_pictures_gives_their_bytes_as_they_are(tmp_path):
    table = {"jpg": [{"bytes": content, "path": None} for content in PICTURES], "txt": ["one", "two", "three"]}
    rows = Dataset.from_dict(table, features=Features({"jpg": Image(), "txt": Value("string")}))
    (tmp_path / "copy").mkdir()
    rows.to_parquet(tmp_path / "copy" / "train.parquet")
    assert isinstance(
        load_rows(str(tmp_path / "copy"), config=None, split="train", revision=None).features["jpg"], Image
    )
    pairs = huggingface(split="train", path=str(tmp_path / "copy"), columns=COLUMNS)
    assert list(contents_of(pairs.left).values()) == PICTURES


def test_pictures_that_were_stored_decoded_come_back_pixel_by_pixel(tmp_path):
    shown = PILImage.fromarray(np.arange(6 * 8 * 3, dtype=np.uint8).reshape(6, 8, 3))
    rows = Dataset.from_dict(
        {"jpg": [shown], "txt": ["a ramp"]}, features=Features({"jpg": Image(), "txt": Value("string")})
    )
    (tmp_path / "copy").mkdir()
    rows.to_parquet(tmp_path / "copy" / "train.parquet")
    pairs = huggingface(split="train", path=str(tmp_path / "copy"), columns=COLUMNS)
    assert np.array_equal(np.asarray(PILImage.open(io.BytesIO(pairs.left.read(0)))), np.asarray(shown))


def test_sounds_are_mapped_in_the_same_way(tmp_path):
    columns = {"clip": encoded_column([sound(0), sound(1)], ["a.wav", "b.wav"]), "txt": ["a hum", "a tone"]}
    write_parquet(tmp_path / "copy" / "train.parquet", columns)
    pairs = huggingface(split="train", path=str(tmp_path / "copy"), columns={"audio": "clip", "text": "txt"})
    assert pairs.left.modality == "audio"
    assert contents_of(pairs.left) == {"0": sound(0), "1": sound(1)}


@pytest.mark.parametrize("mark", ["Audio", None])
def test_sounds_marked_as_such_in_parquet_are_not_decoded(mark, tmp_path):
    table = pa.table({"audio": encoded_column([sound(0)]), "text": ["a hum"]})
    if mark:
        info = '{"info": {"features": {"audio": {"_type": "Audio"}, "text": {"dtype": "string", "_type": "Value"}}}}'
        table = table.replace_schema_metadata({"huggingface": info})
    (tmp_path / "copy").mkdir()
    pq.write_table(table, tmp_path / "copy" / "train.parquet")
    pairs = huggingface(split="train", path=str(tmp_path / "copy"), columns={"audio": "audio", "text": "text"})
    assert contents_of(pairs.left) == {"0": sound(0)}


def test_media_that_are_stored_by_their_path_are_read_from_there(copy, tmp_path):
    (tmp_path / "outside.png").write_bytes(picture(7))
    column = pa.array([{"bytes": None, "path": str(tmp_path / "outside.png")}] * 3, encoded_column([]).type)
    pairs = huggingface(split="train", path=copy(jpg=column), columns=COLUMNS)
    assert pairs.left.read(0) == picture(7)


def test_a_list_of_captions_is_linked_with_one_picture(copy):
    texts = [["one", "uno"], [], ["three", "", "one"]]
    pairs = huggingface(split="train", path=copy(txt=texts), columns=COLUMNS)
    assert captions_of(pairs) == {"0": ["one", "uno"], "2": ["one", "three"]}
    assert excluded_of(pairs) == [("2#1", "empty caption"), ("1", "no caption")]


def test_a_missing_caption_is_listed(copy):
    pairs = huggingface(split="train", path=copy(txt=["one", None, "three"]), columns=COLUMNS)
    assert captions_of(pairs) == {"0": ["one"], "2": ["three"]}
    assert excluded_of(pairs) == [("1#0", "empty caption"), ("1", "no caption")]


def test_rows_of_one_id_are_one_item_with_the_first_row_s_picture(copy):
    shared = encoded_column([PICTURES[0], PICTURES[1], PICTURES[0]])
    pairs = huggingface(split="train", path=copy(jpg=shared, key=[7, 8, 7]), columns={**COLUMNS, "id": "key"})
    assert captions_of(pairs) == {"7": ["one", "three"], "8": ["two"]}
    assert contents_of(pairs.left) == {"7": PICTURES[0], "8": PICTURES[1]}


@pytest.mark.parametrize("length", [1, 200_000])
def test_an_id_that_two_pictures_share_is_refused(copy, length):
    contents = [b"x" * length + bytes([number]) for number in (1, 2, 3)]
    path = copy(jpg=encoded_column(contents), key=["0", "1", "0"])
    with pytest.raises(
        DatasetError, match=r"^rows 0 and 2 have the same id in the column 'key', but hold different media"
    ):
        huggingface(split="train", path=path, columns={**COLUMNS, "id": "key"})


@pytest.mark.parametrize("ids", [[None, "a", None], ["", "a", " "], [float("nan"), 1.0, float("nan")]])
def test_a_row_whose_id_is_missing_is_listed_and_its_caption_linked_with_no_other_picture(copy, ids):
    pairs = huggingface(split="train", path=copy(key=ids), columns={**COLUMNS, "id": "key"})
    assert captions_of(pairs) == {str(ids[1]): ["two"]}
    assert contents_of(pairs.left) == {str(ids[1]): PICTURES[1]}
    assert [item for item, reason in excluded_of(pairs) if "its id is missing" in reason] == ["row 0", "row 2"]


def test_a_list_that_was_written_out_as_text_gives_its_captions(copy):
    texts = ['["one", "uno"]', "two", "[noise]"]
    pairs = huggingface(split="train", path=copy(txt=texts), columns=COLUMNS)
    assert captions_of(pairs) == {"0": ["one", "uno"], "1": ["two"], "2": ["[noise]"]}


def test_pictures_follow_their_items_where_rows_were_left_out(copy):
    pairs = huggingface(split="train", path=copy(txt=["", "two", "three"]), columns=COLUMNS)
    assert contents_of(pairs.left) == {"1": PICTURES[1], "2": PICTURES[2]}


def test_a_slice_of_a_split_can_be_asked_for(copy):
    pairs = huggingface(split="train[1:]", path=copy(), columns=COLUMNS)
    assert list(captions_of(pairs).values()) == [["two"], ["three"]]
    assert list(contents_of(pairs.left).values()) == PICTURES[1:]
    assert pairs.split == "train[1:]"


def test_one_empty_picture_is_an_error_of_its_own_row_only(copy):
    pairs = huggingface(split="train", path=copy(jpg=encoded_column([PICTURES[0], None, PICTURES[2]])), columns=COLUMNS)
    assert [pairs.left.read(0), pairs.left.read(2)] == [PICTURES[0], PICTURES[2]]
    with pytest.raises(ValueError, match=r"^the column 'jpg' is empty$"):
        pairs.left.read(1)


def test_a_broken_picture_does_not_end_the_loading(copy):
    pairs = huggingface(split="train", path=copy(jpg=encoded_column([b"no picture", *PICTURES[1:]])), columns=COLUMNS)
    assert pairs.left.read(0) == b"no picture"


def test_a_configuration_can_be_chosen(tmp_path):
    for config, caption in (("en", "a dog"), ("de", "ein Hund")):
        columns = {"jpg": encoded_column([picture(1)]), "txt": [caption]}
        write_parquet(tmp_path / "copy" / config / "train.parquet", columns)
    configs = "".join(f"- config_name: {name}\n  data_files: {name}/*.parquet\n" for name in ("en", "de"))
    (tmp_path / "copy" / "README.md").write_text(f"---\nconfigs:\n{configs}---\n", encoding="utf-8")
    pairs = huggingface(split="train", path=str(tmp_path / "copy"), config="de", columns=COLUMNS)
    assert captions_of(pairs) == {"0": ["ein Hund"]}


def copy_with_configurations(folder, caption):
    """A copy with a README that declares a configuration, as hub repositories have it."""
    write_parquet(folder / "data" / "train.parquet", {"jpg": encoded_column([picture(1)]), "txt": [caption]})
    configs = "configs:\n- config_name: default\n  data_files: data/*.parquet\n"
    (folder / "README.md").write_text(f"---\n{configs}---\n", encoding="utf-8")
    return str(folder)


def test_two_copies_in_folders_of_one_name_are_told_apart(tmp_path):
    for place in ("old", "new"):
        path = copy_with_configurations(tmp_path / place / "copy", f"the {place} one")
        pairs = huggingface(split="train", path=path, columns=COLUMNS)
        assert captions_of(pairs) == {"0": [f"the {place} one"]}


def test_a_copy_that_has_changed_is_loaded_anew(tmp_path):
    for caption in ("before", "afterwards"):
        path = copy_with_configurations(tmp_path / "copy", caption)
        assert captions_of(huggingface(split="train", path=path, columns=COLUMNS)) == {"0": [caption]}


def test_a_copy_that_has_not_changed_is_taken_from_the_cache(tmp_path):
    path = copy_with_configurations(tmp_path / "copy", "the same")
    first, again = (load_rows(path, config=None, split="train", revision=None) for _ in range(2))
    assert again.cache_files == first.cache_files


def test_the_revision_of_a_local_copy_follows_its_files_not_its_place(tmp_path):
    def revision(folder: str, pictures: list[bytes]) -> str:
        write_parquet(
            tmp_path / folder / "train.parquet", {"jpg": encoded_column(pictures), "txt": ["one", "two", "three"]}
        )
        return huggingface(split="train", path=str(tmp_path / folder), columns=COLUMNS).revision

    here = revision("here", PICTURES)
    assert here.startswith("local ")
    assert revision("me@work", PICTURES) == here
    assert revision("changed", [*PICTURES[:2], PICTURES[2] + bytes(999)]) != here


def test_the_revision_of_a_hub_copy_is_its_commit(tmp_path, hub_cache):
    # Without network, `datasets` takes what an earlier download has left in its cache, under the commit's name.
    commit = "0123456789abcdef0123456789abcdef01234567"
    columns = {"jpg": encoded_column(PICTURES), "txt": ["one", "two", "three"]}
    write_parquet(tmp_path / "pairs" / "train.parquet", columns)
    built = Path(load_dataset(str(tmp_path / "pairs"), split="train").cache_files[0]["filename"]).parent
    shutil.copytree(built, hub_cache / "somebody___pairs" / "default" / "0.0.0" / commit)
    pairs = huggingface(split="train[1:]", path="somebody/pairs", columns=COLUMNS)
    assert pairs.revision == commit
    assert list(contents_of(pairs.left).values()) == PICTURES[1:]


@pytest.mark.parametrize(
    "columns",
    [
        {"image": "jpg"},
        {"text": "txt"},
        {"text": "txt", "id": "key"},
        {"text": "txt", "image": "jpg", "audio": "wav"},
        {"text": "txt", "video": "mp4"},
        {"text": "txt", "image": "jpg", "caption": "txt"},
    ],
    ids=" and ".join,
)
def test_a_mapping_without_one_text_and_one_kind_of_media_is_refused(columns):
    with pytest.raises(
        DatasetError,
        match=r"^huggingface needs columns\.text and one of columns\.image and columns\.audio "
        r"\(and may have columns\.id\), such as columns=\{image: jpg, text: caption\}; it has \{.*\}\.$",
    ):
        huggingface(split="train", path="anywhere", columns=columns)


@pytest.mark.parametrize("what", ["image", "text", "id"])
def test_a_mapped_column_that_is_not_there_is_named_with_those_that_are(what, copy):
    with pytest.raises(DatasetError, match=r"copy has no column 'nothing'; it has: jpg, txt\.$"):
        huggingface(split="train", path=copy(), columns={**COLUMNS, what: "nothing"})


@pytest.mark.parametrize("kind", ["image", "audio"])
def test_a_column_of_words_is_not_taken_for_media(kind, copy):
    with pytest.raises(
        DatasetError, match=rf"copy: the column 'txt' does not hold {kind} files but Value\(.*string.*\)\.$"
    ):
        huggingface(split="train", path=copy(), columns={kind: "txt", "text": "txt"})


def test_a_column_of_pictures_is_not_taken_for_sounds(tmp_path):
    table = {"jpg": [{"bytes": PICTURES[0], "path": None}], "txt": ["one"]}
    (tmp_path / "copy").mkdir()
    rows = Dataset.from_dict(table, features=Features({"jpg": Image(), "txt": Value("string")}))
    rows.to_parquet(tmp_path / "copy" / "train.parquet")
    with pytest.raises(DatasetError, match=r"copy: the column 'jpg' does not hold audio files but Image\("):
        huggingface(split="train", path=str(tmp_path / "copy"), columns={"audio": "jpg", "text": "txt"})


@pytest.mark.parametrize("text", ['["a", 5]', '[["a"], ["b"]]'])
def test_a_list_written_out_that_holds_no_captions_is_refused_with_itself(text, copy):
    with pytest.raises(
        DatasetError, match=r"in the column 'other' a caption is (the number 5|a list within a list), in"
    ):
        huggingface(split="train", path=copy(other=[text, "b", "c"]), columns={**COLUMNS, "text": "other"})


@pytest.mark.parametrize(
    ("values", "shown"),
    [([3, 4, 5], "int, such as 3"), ([[{"raw": "one"}], [], []], r"dict, such as \{'raw': 'one'\}")],
    ids=["labels", "sentences as objects"],
)
def test_a_column_that_holds_no_captions_is_refused_with_an_example(values, shown, copy):
    with pytest.raises(
        DatasetError,
        match=rf"copy: the column 'other' holds no captions but {shown}\. "
        r"Name another one as dataset\.options\.columns\.text=…$",
    ):
        huggingface(split="train", path=copy(other=values), columns={**COLUMNS, "text": "other"})
