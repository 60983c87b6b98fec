"""What every data set must offer, whatever it is loaded from."""

import io
import json
import pickle

import numpy as np
import pytest
import soundfile
from contract_sources import ONE_SIDED, SOURCES
from PIL import Image

from fusemix.contents import Waveform
from fusemix.datasets import DATASETS


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
