"""WavCaps from the authors' JSON files, one folder a source."""

import json

import pytest
from dataset_samples import captions_of, contents_of, excluded_of, sound
from published_samples import write_wavcaps

from fusemix.datasets.wavcaps import wavcaps
from fusemix.errors import DatasetError

CAPTIONS = {
    "FreeSound": {"117790": "A bell rings.", "204046": "Birds sing."},
    "BBC_Sound_Effects": {"NHU05093080": "A lion roars."},
    "SoundBible": {"2219": "An airplane is landing."},
    "AudioSet_SL": {"Yr1nicOVtvkQ.wav": "A man speaks.", "YUDGBjjwyaqE.wav": "Birds sing."},
}
FILES = {
    "FreeSound/117790.flac": ["A bell rings."],
    "FreeSound/204046.flac": ["Birds sing."],
    "BBC_Sound_Effects/NHU05093080.flac": ["A lion roars."],
    "SoundBible/2219.flac": ["An airplane is landing."],
    "AudioSet_SL/Yr1nicOVtvkQ.flac": ["A man speaks."],
    "AudioSet_SL/YUDGBjjwyaqE.flac": ["Birds sing."],
}


@pytest.fixture
def copy(tmp_path):
    return write_wavcaps(tmp_path, CAPTIONS)


@pytest.mark.parametrize("split", ["all", "train"])
def test_ids_name_flac_files_in_a_folder_a_source(copy, split):
    pairs = wavcaps(split=split, **copy)
    assert captions_of(pairs) == FILES
    assert contents_of(pairs.left)["AudioSet_SL/YUDGBjjwyaqE.flac"] == sound(1)


def test_folders_may_be_called_as_the_authors_archives_unpack(tmp_path):
    pairs = wavcaps(split="all", **write_wavcaps(tmp_path, CAPTIONS, suffix="_flac"))
    assert list(captions_of(pairs)) == [name.replace("/", "_flac/") for name in FILES]


def test_folders_are_found_where_the_authors_archives_unpack_them(tmp_path):
    copy = write_wavcaps(tmp_path, CAPTIONS, suffix="_flac")
    deep = tmp_path / "audio/mnt/fast/nobackup/WavCaps/data/waveforms"
    deep.mkdir(parents=True)
    (tmp_path / "audio/FreeSound_flac").rename(deep / "FreeSound_flac")
    (tmp_path / "audio/FreeSound").mkdir()  # holds the parts of the archive
    (tmp_path / "audio/FreeSound/FreeSound.z01").write_bytes(b"x")
    found = captions_of(wavcaps(split="all", **copy))
    assert [name.rpartition("/")[2] for name in found] == [name.rpartition("/")[2] for name in FILES]
    assert next(iter(found)) == "mnt/fast/nobackup/WavCaps/data/waveforms/FreeSound_flac/117790.flac"


def test_sounds_of_one_source_in_two_folders_are_refused(copy, tmp_path):
    (tmp_path / "audio/more/SoundBible_flac").mkdir(parents=True)
    (tmp_path / "audio/more/SoundBible_flac/1.flac").write_bytes(sound(0))
    with pytest.raises(DatasetError, match=r"the folders SoundBible and more/SoundBible_flac of .* hold sounds of one"):
        wavcaps(split="all", **copy)


def test_an_entry_whose_id_is_null_is_refused(tmp_path):
    copy = write_wavcaps(tmp_path, CAPTIONS)
    path = tmp_path / "json_files/SoundBible/sb_final.json"
    path.write_text(path.read_text().replace('"2219"', "null"))
    with pytest.raises(DatasetError, match=r"sb_final\.json: an entry of 'data' lacks 'id' or 'caption'"):
        wavcaps(split="all", **copy)


def test_a_byte_order_mark_at_the_head_of_a_file_does_no_harm(copy, tmp_path):
    for path in (tmp_path / "json_files").glob("*/*.json"):
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    black = tmp_path / "black.json"
    black.write_text(json.dumps({"SoundBible": ["2219"]}), encoding="utf-8-sig")
    found = captions_of(wavcaps(split="all", blacklist=str(black), **copy))
    assert list(found) == [name for name in FILES if not name.startswith("SoundBible")]


def test_some_sources_can_be_had_without_the_others(tmp_path):
    copy = write_wavcaps(tmp_path, {"SoundBible": CAPTIONS["SoundBible"]})
    pairs = wavcaps(split="all", sources=["SoundBible"], **copy)
    assert captions_of(pairs) == {"SoundBible/2219.flac": ["An airplane is landing."]}
    assert pairs.published == (1_232, 1_232)


def test_all_sources_together_were_published_with_403_050_clips(copy):
    assert wavcaps(split="all", **copy).published == (403_050, 403_050)


def test_what_the_blacklist_names_is_left_out_and_listed(copy, tmp_path):
    path = tmp_path / "blacklist_exclude_test_ac.json"
    # An id of one source says nothing of another.
    path.write_text(json.dumps({"AudioSet": ["YUDGBjjwyaqE.wav", "2219"], "FreeSound": ["117790", "999"]}))
    pairs = wavcaps(split="all", blacklist=str(path), **copy)
    left_out = ["FreeSound/117790.flac", "AudioSet_SL/YUDGBjjwyaqE.flac"]
    assert captions_of(pairs) == {file: captions for file, captions in FILES.items() if file not in left_out}
    assert excluded_of(pairs) == [(file, "on the blacklist") for file in left_out]
    assert pairs.revision != wavcaps(split="all", **copy).revision


def test_fractions_split_by_source_and_id_whatever_the_folders_are_called(tmp_path):
    captions = {"SoundBible": {str(number): f"Sound {number}." for number in range(40)}}
    plain = write_wavcaps(tmp_path / "plain", captions)
    unpacked = write_wavcaps(tmp_path / "unpacked", captions, suffix="_flac")
    shares = {"train": 0.7, "test": 0.3}
    stems = {}
    for split in shares:
        found = [
            [
                item.rpartition("/")[2]
                for item in wavcaps(split=split, sources=["SoundBible"], fractions=shares, **copy)
                .left.table["id"]
                .to_pylist()
            ]
            for copy in (plain, unpacked)
        ]
        assert found[0] == found[1]
        stems[split] = set(found[0])
    assert len(stems["train"] | stems["test"]) == len(stems["train"]) + len(stems["test"]) == 40


def test_clips_that_the_archives_lack_are_listed(copy, tmp_path):
    (tmp_path / "audio" / "FreeSound" / "204046.flac").unlink()
    pairs = wavcaps(split="all", **copy)
    assert [item for item, _ in excluded_of(pairs)] == ["FreeSound/204046.flac"]
    assert pairs.published == (403_050, 403_050)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"sources": ["Freesound"]}, r"sources must be some of FreeSound, BBC_Sound_Effects, SoundBible, AudioSet_SL"),
        ({"sources": []}, r"sources must be some of"),
        ({"sources": ["SoundBible", "SoundBible"]}, r"once each, not \['SoundBible', 'SoundBible'\]"),
        (
            {"split": "validation"},
            r"^wavcaps has no split 'validation'; it has: all, train\..*dataset\.options\.fractions",
        ),
        ({"fractions": {"test": 0.5}}, r"^wavcaps has no split 'all'; it has: test\."),
        ({"fractions": {"all": 0.5, "test": 0.6}}, r"fractions must be positive and add up to at most 1"),
        ({"blacklist": "nowhere.json"}, r"^wavcaps: there is no file nowhere\.json\.$"),
    ],
)
def test_wrong_options_are_refused(copy, given, message):
    with pytest.raises(DatasetError, match=message):
        wavcaps(**{"split": "all", **copy, **given})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"data": [{"id": "1", "caption": "A', r"sb_final\.json cannot be read as JSON: .* Download it again\.$"),
        ('{"data": [{"id": "1"}]}', r"sb_final\.json: an entry of 'data' lacks 'id' or 'caption': \{'id': '1'\}"),
        ('{"images": []}', r"sb_final\.json holds no list 'data', or an empty one\.$"),
    ],
)
def test_a_damaged_or_foreign_caption_file_is_named(tmp_path, content, message):
    copy = write_wavcaps(tmp_path, {"SoundBible": CAPTIONS["SoundBible"]})
    (tmp_path / "json_files" / "SoundBible" / "sb_final.json").write_text(content)
    with pytest.raises(DatasetError, match=message):
        wavcaps(split="all", sources=["SoundBible"], **copy)


@pytest.mark.parametrize("content", ["[1, 2]", "{", '{"AudioSet": 3}'])
def test_a_blacklist_in_another_layout_is_refused(copy, tmp_path, content):
    (tmp_path / "black.json").write_text(content)
    with pytest.raises(DatasetError, match=r"black\.json is not one of WavCaps' blacklists"):
        wavcaps(split="all", blacklist=str(tmp_path / "black.json"), **copy)
