"""What every data set must offer, whatever it is loaded from."""

import io
import json
import pickle

import numpy as np
import pytest
import soundfile
from dataset_samples import (
    encoded_column,
    picture,
    sound,
    write_embeddings,
    write_files,
    write_json_lines,
    write_karpathy,
    write_lmms_flickr30k,
    write_parquet,
    write_retrieval,
    write_table,
)
from PIL import Image
from published_sources import PUBLISHED_SOURCES, SPLITS, in_each_split

from fusemix.contents import Waveform
from fusemix.datasets import DATASETS


def glyphs(folder):
    return in_each_split({})


def image_captions(folder):
    names = [f"{number:02}.png" for number in range(40)]
    rows = [{"file": name, "caption": [f"picture {name}", "a picture"]} for name in names]
    options = {
        "folder": write_files(folder / "pictures", names),
        "captions": write_json_lines(folder / "captions.jsonl", rows),
        "fractions": {"train": 0.5, "validation": 0.25, "test": 0.25},
    }
    return in_each_split(options)


def audio_captions(folder):
    rows = [[f"{number}.wav", f"sound {number}", "a sound", SPLITS[number % 3]] for number in range(9)]
    options = {
        "folder": write_files(folder / "sounds", [row[0] for row in rows], sound),
        "captions": write_table(folder / "c.csv", ["file_name", "caption_1", "caption_2", "split"], rows),
    }
    return in_each_split(options)


def flickr_entries():
    return [(f"{n}.jpg", ("train", "val", "test")[n % 3], [f"scene {n}", f"view {n}", "a scene"]) for n in range(9)]


def flickr30k_files(folder):
    entries = flickr_entries()
    options = {
        "images": write_files(folder / "pictures", [entry[0] for entry in entries]),
        "annotations": write_karpathy(folder / "dataset_flickr30k.json", entries),
        "check_counts": False,
    }
    return in_each_split(options)


def flickr30k_parquet(folder):
    entries = flickr_entries()
    rows = [(file, picture(row), captions) for row, (file, _, captions) in enumerate(entries)]
    options = {
        "parquet": write_lmms_flickr30k(folder / "lmms", rows),
        "annotations": write_karpathy(folder / "dataset_flickr30k.json", entries),
        "check_counts": False,
    }
    return in_each_split(options)


def flickr30k_retrieval(folder):
    media = {f"{number}.jpg": picture(number) for number in range(3)}
    queries = {f"q{number}": f"scene {number}" for number in range(6)}
    judgements = [(f"q{number}", f"{number // 2}.jpg", 1) for number in range(6)]
    parquet = write_retrieval(folder / "mteb", "image", media, queries, judgements)
    return {"test": {"parquet": parquet, "check_counts": False}}


def audiocaps_files(folder):
    header = ["audiocap_id", "youtube_id", "start_time", "caption"]
    for place, name in enumerate(("train", "val", "test")):
        rows = [[100 * place + n, f"{name}{n // 2}", 30, f"sound {n} of {name}"] for n in range(6)]
        write_table(folder / f"{name}.csv", header, rows)
        write_files(folder / "clips", [f"{name}{n}_30.wav" for n in range(3)], sound)
    return in_each_split({"clips": str(folder / "clips"), "annotations": str(folder)})


def audiocaps_parquet(folder):
    for split in SPLITS:
        columns = {
            "youtube_id": [f"{split}{n // 2}" for n in range(6)],
            "start_time": [30] * 6,
            "caption": [f"sound {n} of {split}" for n in range(6)],
            "audio": encoded_column([sound(n // 2) for n in range(6)]),
        }
        write_parquet(folder / "opensound" / f"{split}-00000-of-00001.parquet", columns)
    return in_each_split({"parquet": str(folder / "opensound")})


def huggingface(folder):
    for split in SPLITS:
        names = [f"{split}-{n}" for n in range(3)]
        columns = {
            "key": names,
            "jpg": encoded_column([picture(n, "JPEG") for n in range(3)]),
            "txt": [[f"{name} once", f"{name} twice"] for name in names],
        }
        write_parquet(folder / "pairs" / f"{split}-00000-of-00001.parquet", columns)
    options = {"path": str(folder / "pairs"), "columns": {"image": "jpg", "text": "txt", "id": "key"}}
    return in_each_split(options)


def image_classes(folder):
    names = [f"{label}/{number:02}.png" for label in ("cat", "dog") for number in range(40)]
    options = {
        "folder": write_files(folder / "pictures", names),
        "fractions": {"train": 0.5, "validation": 0.25, "test": 0.25},
    }
    return in_each_split(options)


def audio_classes(folder):
    names = [f"{split}/{label}/1.wav" for split in SPLITS for label in ("dog", "sea_waves")]
    templates = ["the sound of {}.", "{}, recorded outside."]
    return in_each_split({"folder": write_files(folder / "sounds", names, sound), "templates": templates})


def esc50(folder):
    rows = [
        [f"{fold}-{fold}{place}-A-0.wav", label] for fold in range(1, 6) for place, label in enumerate(("dog", "cat"))
    ]
    options = {
        "clips": write_files(folder / "audio", [row[0] for row in rows], sound),
        "annotations": write_table(folder / "esc50.csv", ["filename", "category"], rows),
        "check_counts": False,
    }
    return {f"fold{number}": options for number in range(1, 6)}


def clip_retrieval(folder):
    for split in SPLITS:
        write_embeddings(folder / split, [f"{split}-{number}.png" for number in range(3)])
    return {split: {"folder": str(folder / split), "dataset": "clip_retrieval"} for split in SPLITS}


def corrupted(folder):
    options_of = image_captions(folder)
    return {
        split: {
            "of": {"name": "image_captions", "options": options},
            "swapped": 0.5,
            "deleted": 0.3,
            "splits": [*SPLITS],
        }
        for split, options in options_of.items()
    }


SOURCES = {
    "clip_retrieval": clip_retrieval,
    "glyphs": glyphs,
    "spoken_glyphs": glyphs,
    "image_captions": image_captions,
    "audio_captions": audio_captions,
    "flickr30k, files": flickr30k_files,
    "flickr30k, parquet and splits": flickr30k_parquet,
    "flickr30k, retrieval layout": flickr30k_retrieval,
    "audiocaps, files": audiocaps_files,
    "audiocaps, parquet": audiocaps_parquet,
    "huggingface": huggingface,
    "image_classes": image_classes,
    "audio_classes": audio_classes,
    "esc50": esc50,
    "corrupted": corrupted,
    **PUBLISHED_SOURCES,
}
"""A data set, and what it is loaded from where there are several ways -> writer of split -> options."""
ONE_SIDED = {"images", "sounds", "texts"}
"""Data sets without partners; see test_unpaired_data.py."""


@pytest.fixture(scope="module", params=SOURCES)
def source(request, tmp_path_factory):
    """Name of a data set and split -> options."""
    return request.param.partition(",")[0], SOURCES[request.param](tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="module")
def splits(source):
    name, options_of = source
    return {split: DATASETS.build(name, options, split=split) for split, options in options_of.items()}


def sides(splits):
    return [items for pairs in splits.values() for items in pairs.sides]


def test_every_data_set_of_the_table_is_tested_here():
    assert {name.partition(",")[0] for name in SOURCES} | ONE_SIDED == set(DATASETS.names())


@pytest.mark.parametrize("name", DATASETS.names())
def test_every_name_in_the_table_leads_to_a_factory_that_takes_a_split(name):
    assert DATASETS.factory(name).__name__ == name
    with pytest.raises(TypeError, match="split"):
        DATASETS.factory(name)()


def test_a_pair_set_says_where_it_comes_from(source, splits):
    for split, pairs in splits.items():
        assert (pairs.dataset, pairs.split) == (source[0], split)
        assert pairs.revision


def test_the_left_side_holds_the_media_and_the_right_side_their_captions(source, splits):
    name, options_of = source
    sounds = name.startswith("audio") or name in ("clotho", "esc50", "spoken_glyphs", "wavcaps")
    for split, pairs in splits.items():
        modality = options_of[split].get("modality", "audio" if sounds else "image")
        assert [items.modality for items in pairs.sides] == [modality, "text"]


def test_ids_come_first_and_are_unique_words(splits):
    for items in sides(splits):
        assert items.table.column_names[0] == "id"
        ids = items.table["id"].to_pylist()
        assert len(set(ids)) == len(ids) == len(items) > 0
        assert all(isinstance(item, str) and item for item in ids)


def test_item_tables_are_plain_data_that_json_can_hold(splits):
    for items in sides(splits):
        for row in items.table.slice(0, 20).to_pylist():
            assert json.loads(json.dumps(row)) == row


def test_links_are_unique_and_in_range(splits):
    for pairs in splits.values():
        assert pairs.links.dtype == np.int64
        assert len({tuple(link) for link in pairs.links.tolist()}) == len(pairs.links)
        assert pairs.links.min() >= 0
        assert (pairs.links.max(axis=0) < [len(pairs.left), len(pairs.right)]).all()


def test_every_item_of_both_sides_is_linked(splits):
    for pairs in splits.values():
        assert set(pairs.links[:, 0].tolist()) == set(range(len(pairs.left)))
        assert set(pairs.links[:, 1].tolist()) == set(range(len(pairs.right)))


def test_no_caption_occurs_twice(splits):
    for pairs in splits.values():
        captions = pairs.right.table["caption"].to_pylist()
        assert len(set(captions)) == len(captions)


def test_nothing_is_left_out_of_a_complete_copy(splits):
    assert [pairs.excluded for pairs in splits.values()] == [()] * len(splits)


def test_a_caption_is_read_as_the_table_shows_it(splits):
    for pairs in splits.values():
        captions = pairs.right.table["caption"].to_pylist()
        assert [pairs.right.read(row) for row in range(min(20, len(captions)))] == captions[:20]


def test_media_are_read_as_something_that_can_be_decoded(splits):
    for pairs in splits.values():
        for raw in map(pairs.left.read, range(min(20, len(pairs.left)))):
            if isinstance(raw, Waveform):
                assert (raw.samples.ndim, raw.samples.dtype, raw.sample_rate) == (1, np.float32, 22_050)
            elif pairs.left.modality == "audio":
                samples, rate = soundfile.read(io.BytesIO(raw))
                assert (len(samples), rate) == (800, 8000)
            else:
                shown = raw if isinstance(raw, Image.Image) else Image.open(io.BytesIO(raw))
                assert shown.convert("RGB").size in {(8, 6), (64, 64)}


def test_a_reader_can_be_sent_to_a_worker_process(splits):
    for items in sides(splits):
        sent = pickle.loads(pickle.dumps(items.read))
        np.testing.assert_equal(sent(len(items) - 1), items.read(len(items) - 1))


@pytest.mark.parametrize("called", ["val", "valid", "dev", "Validation"])
def test_validation_is_found_by_its_other_names(source, splits, called):
    name, options_of = source
    if "validation" in options_of:
        pairs = DATASETS.build(name, options_of["validation"], split=called)
        assert pairs.left.table["id"].to_pylist() == splits["validation"].left.table["id"].to_pylist()


def test_splits_share_no_media(splits):
    ids = [set(pairs.left.table["id"].to_pylist()) for pairs in splits.values()]
    assert len(set.union(*ids)) == sum(map(len, ids))


def test_loading_twice_gives_the_same(source, splits):
    name, options_of = source
    split, options = next(iter(options_of.items()))
    again, first = DATASETS.build(name, options, split=split), splits[split]
    assert again.left.table.equals(first.left.table)
    assert again.right.table.equals(first.right.table)
    assert again.links.tolist() == first.links.tolist()
    assert again.revision == first.revision
