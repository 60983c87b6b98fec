"""AudioCaps from clips that downloaders have named in their ways, and from the hub's copies."""

import pytest
from dataset_samples import (
    captions_of,
    contents_of,
    encoded_column,
    excluded_of,
    sound,
    write_files,
    write_parquet,
    write_retrieval,
    write_table,
)

from fusemix.datasets import audiocaps as module
from fusemix.datasets.audiocaps import TRAIN_CAPTIONS, audiocaps
from fusemix.errors import DatasetError

HEADER = ["audiocap_id", "youtube_id", "start_time", "caption"]
RAIN = [f"Rain, version {k}" for k in range(5)]
DOGS = [f"Dogs bark, version {k}" for k in range(5)]
TEST_ROWS = [[103500 + k, "-AbC_9z", "30", caption] for k, caption in enumerate(RAIN)]
TEST_ROWS += [[97200 + k, "rqfQRErjfk8", "170", caption] for k, caption in enumerate(DOGS)]


@pytest.fixture
def load(tmp_path):
    """Load clips of these names with the authors' table of the split."""

    def load(clips, *, split="test", rows=TEST_ROWS, header=HEADER):
        write_table(tmp_path / {"validation": "val.csv"}.get(split, f"{split}.csv"), header, rows)
        folder = write_files(tmp_path / "clips", clips, sound)
        return audiocaps(split=split, clips=folder, annotations=str(tmp_path))

    return load


@pytest.mark.parametrize(
    ("rain", "dogs"),
    [
        ("-AbC_9z_30.wav", "rqfQRErjfk8_170.wav"),
        ("103500.wav", "97200.wav"),
        ("-AbC_9z.wav", "rqfQRErjfk8.wav"),
        ("Y-AbC_9z.wav", "YrqfQRErjfk8.wav"),
    ],
    ids=["id and start time", "audiocap id", "id", "Y and id"],
)
def test_five_captions_belong_to_one_clip_whatever_names_the_clips(rain, dogs, load):
    pairs = load([rain, dogs])
    assert captions_of(pairs) == {rain: RAIN, dogs: DOGS}
    assert contents_of(pairs.left) == {rain: sound(0), dogs: sound(1)}
    assert pairs.excluded == ()


@pytest.mark.parametrize(
    "stem",
    [
        "{id}_30.000_40.000",
        "{id}_30_40",
        "{id}_30000_40000",
        "{id}_30.000_36.500",
        "{id}_30.000",
        "Y{id}_30.000_40.000",
    ],
)
def test_clips_are_found_by_the_names_of_audioset(stem, load):
    name = stem.format(id="-AbC_9z") + ".flac"
    assert captions_of(load([name, "-AbC_9z_130.000_140.000.flac"])) == {name: RAIN}


@pytest.mark.parametrize(("split", "folder"), [("train", "train"), ("validation", "val"), ("test", "test")])
def test_clips_may_lie_in_a_folder_a_split(split, folder, load):
    names = [f"{place}/103500.wav" for place in ("train", "val", "test")]
    assert captions_of(load(names, split=split)) == {f"{folder}/103500.wav": RAIN}


def test_audiocaps_2_is_told_by_how_many_captions_its_train_split_has(load, tmp_path, monkeypatch):
    first = load(["103500.wav"])
    assert first.published is None
    for rows, edition, published in ((2, "1.0", (2, 10)), (3, "2.0", (2, 10))):
        monkeypatch.setattr(module, "TRAIN_CAPTIONS", {rows: edition})
        write_table(tmp_path / "train.csv", HEADER, TEST_ROWS[:rows])
        pairs = load(["103500.wav"])
        assert pairs.revision == ("AudioCaps 2.0 " if edition == "2.0" else "") + first.revision
        assert pairs.published == published
    assert TRAIN_CAPTIONS == {49_838: "1.0", 91_256: "2.0"}


def test_a_hub_copy_s_row_without_video_or_start_is_listed_and_linked_with_no_other(tmp_path):
    columns = {
        "youtube_id": ["abc", None, "def"],
        "start_time": [0, 0, None],
        "caption": ["rain", "wind", "dogs"],
        "audio": encoded_column([sound(0), sound(1), sound(2)]),
    }
    write_parquet(tmp_path / "copy" / "test-00000-of-00001.parquet", columns)
    pairs = audiocaps(split="test", parquet=str(tmp_path / "copy"))
    assert captions_of(pairs) == {"abc_0": ["rain"]}
    assert [item for item, _ in excluded_of(pairs)] == ["row 1", "row 2"]


@pytest.mark.parametrize("row", [[1, "", "30", "rain"], [1, "abc", "soon", "rain"]])
def test_a_row_without_video_or_start_is_named(row, load):
    with pytest.raises(
        DatasetError, match=r"test\.csv, line 2: a YouTube id and a start in seconds were expected, not "
    ):
        load(["1.wav"], rows=[row])


def test_names_and_endings_may_be_mixed(load):
    pairs = load(["-AbC_9z_30.FLAC", "97203.mp3"])
    assert captions_of(pairs) == {"-AbC_9z_30.FLAC": RAIN, "97203.mp3": DOGS}


def test_a_copy_with_a_file_per_caption_gives_one_clip(load):
    pairs = load([f"{103500 + k}.wav" for k in range(5)] + ["rqfQRErjfk8_170.wav"])
    assert captions_of(pairs) == {"103500.wav": RAIN, "rqfQRErjfk8_170.wav": DOGS}


def test_other_files_in_the_folder_are_passed_over(load):
    pairs = load(["-AbC_9z_30.wav", "rqfQRErjfk8_170.txt", "unrelated.wav"])
    assert list(captions_of(pairs)) == ["-AbC_9z_30.wav"]


def test_a_missing_clip_is_listed_once(load):
    pairs = load(["-AbC_9z_30.wav"])
    [(name, reason)] = excluded_of(pairs)
    assert name == "rqfQRErjfk8_170.wav"
    assert reason.startswith("no such file in ")


@pytest.mark.parametrize(("split", "file"), [("train", "train.csv"), ("validation", "val.csv"), ("test", "test.csv")])
def test_each_split_has_a_table_of_its_own(split, file, load, tmp_path):
    pairs = load(["abc_0.wav"], split=split, rows=[[1, "abc", "0", f"a sound of {split}"]])
    assert captions_of(pairs) == {"abc_0.wav": [f"a sound of {split}"]}
    assert (tmp_path / file).is_file()
    assert pairs.split == split


def test_a_byte_order_mark_at_the_head_of_the_table_does_no_harm(load, tmp_path):
    folder = write_files(tmp_path / "clips", ["7.wav"], sound)
    (tmp_path / "test.csv").write_text(",".join(HEADER) + "\n7,abc,0,a hum\n", encoding="utf-8-sig")
    pairs = audiocaps(split="test", clips=folder, annotations=str(tmp_path))
    assert captions_of(pairs) == {"7.wav": ["a hum"]}


def test_a_hub_copy_with_a_row_per_caption_is_grouped_to_clips(tmp_path):
    clips = {"-AbC_9z": sound(0), "rqfQRErjfk8": sound(1)}
    write_parquet(
        tmp_path / "copy" / "test-00000-of-00001.parquet",
        {
            "audiocap_id": [row[0] for row in TEST_ROWS],
            "youtube_id": [row[1] for row in TEST_ROWS],
            "start_time": [int(row[2]) for row in TEST_ROWS],
            "caption": [row[3] for row in TEST_ROWS],
            "audio": encoded_column([clips[row[1]] for row in TEST_ROWS], [f"{row[0]}.wav" for row in TEST_ROWS]),
        },
    )
    pairs = audiocaps(split="test", parquet=str(tmp_path / "copy"))
    assert captions_of(pairs) == {"-AbC_9z_30": RAIN, "rqfQRErjfk8_170": DOGS}
    assert contents_of(pairs.left) == {"-AbC_9z_30": sound(0), "rqfQRErjfk8_170": sound(1)}


def test_two_clips_of_one_video_stay_apart(tmp_path):
    write_parquet(
        tmp_path / "copy" / "train-00000-of-00001.parquet",
        {
            "youtube_id": ["abc", "abc"],
            "start_time": [0, 40],
            "caption": ["rain", "wind"],
            "audio": encoded_column([sound(0), sound(1)]),
        },
    )
    pairs = audiocaps(split="train", parquet=str(tmp_path / "copy"))
    assert captions_of(pairs) == {"abc_0": ["rain"], "abc_40": ["wind"]}


@pytest.mark.parametrize("split", ["test", "validation"])
def test_a_copy_in_mteb_s_layout_gives_clips_and_captions(split, tmp_path):
    media = {"c0": sound(0), "c1": sound(1)}
    queries = {"q0": "rain", "q1": "heavy rain", "q2": "dogs"}
    judgements = [("q0", "c0", 1), ("q1", "c0", 1), ("q2", "c1", 1), ("q2", "c0", 0)]
    copy = write_retrieval(
        tmp_path / "mteb", "audio", media, queries, judgements, query_config="queries", splits=("test", "validation")
    )
    pairs = audiocaps(split=split, parquet=copy)
    assert captions_of(pairs) == {"c0": ["rain", "heavy rain"], "c1": ["dogs"]}
    assert contents_of(pairs.left) == media
    assert pairs.left.modality == "audio"


def test_a_split_that_a_copy_lacks_is_named_with_those_it_has(tmp_path):
    copy = write_retrieval(tmp_path / "mteb", "audio", {"c0": sound(0)}, {"q0": "rain"}, [("q0", "c0", 1)])
    with pytest.raises(
        DatasetError, match=r"mteb', configuration 'corpus', split 'train' cannot be loaded: .*train.*\['test'\]"
    ):
        audiocaps(split="train", parquet=copy)


def test_an_unknown_split_is_refused_with_the_known_ones():
    with pytest.raises(DatasetError, match=r"^audiocaps has no split 'evaluation'; it has: train, validation, test\.$"):
        audiocaps(split="evaluation", clips="clips", annotations="tables")


def test_an_absent_table_is_named(tmp_path):
    with pytest.raises(DatasetError, match=r"^audiocaps: there is no file .*val\.csv\.$"):
        audiocaps(split="validation", clips=str(tmp_path), annotations=str(tmp_path))


@pytest.mark.parametrize(
    "content",
    ["", ",".join(HEADER) + "\n", "audiocap_id,youtube_id,caption\n1,abc,rain\n"],
    ids=["empty", "no rows", "a column short"],
)
def test_a_table_that_is_not_the_authors_is_refused(content, tmp_path):
    (tmp_path / "test.csv").write_text(content, encoding="utf-8")
    with pytest.raises(
        DatasetError,
        match=r"test\.csv is not one of AudioCaps' files: "
        r"it needs the columns audiocap_id, caption, start_time, youtube_id\.$",
    ):
        audiocaps(split="test", clips=str(tmp_path), annotations=str(tmp_path))


@pytest.mark.parametrize("row", ["2,abc,0,rain, and wind", "2,abc"], ids=["unquoted comma", "cut off"])
def test_a_row_with_more_or_fewer_fields_than_the_header_is_named(row, tmp_path):
    (tmp_path / "test.csv").write_text(",".join(HEADER) + f"\n1,abc,0,rain\n{row}", encoding="utf-8")
    with pytest.raises(
        DatasetError,
        match=r"test\.csv, row 2 after the header: it has more or fewer fields than the header\. "
        r"The file is cut off, or a caption that holds a comma lacks its double quotes\.$",
    ):
        audiocaps(split="test", clips=str(tmp_path), annotations=str(tmp_path))


def test_a_table_in_another_encoding_is_refused(tmp_path):
    (tmp_path / "test.csv").write_text(",".join(HEADER) + "\n1,abc,0,Gerät\n", encoding="latin-1")
    with pytest.raises(DatasetError, match=r"test\.csv cannot be read as CSV in UTF-8: line \d+ holds the byte 0x"):
        audiocaps(split="test", clips=str(tmp_path), annotations=str(tmp_path))


def test_an_absent_folder_of_clips_is_named(load, tmp_path):
    write_table(tmp_path / "test.csv", HEADER, TEST_ROWS)
    with pytest.raises(DatasetError, match=r"^audiocaps: there is no folder .*nowhere\.$"):
        audiocaps(split="test", clips=str(tmp_path / "nowhere"), annotations=str(tmp_path))


def test_a_folder_without_any_of_the_clips_is_refused_with_an_example(load):
    with pytest.raises(
        DatasetError,
        match=r"^audiocaps, split 'test': none of the files is in .*clips: the captions name 2 files, "
        r"such as '-AbC_9z_30\.wav'\.$",
    ):
        load(["unrelated.wav"])


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"clips": "c"},
        {"annotations": "a"},
        {"clips": "c", "parquet": "p"},
        {"clips": "c", "annotations": "a", "parquet": "p"},
    ],
    ids=" and ".join,
)
def test_any_other_combination_of_sources_is_refused(given):
    with pytest.raises(DatasetError, match=r"^audiocaps needs clips and annotations, or parquet alone\.$"):
        audiocaps(split="test", **given)
