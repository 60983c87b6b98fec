"""From media and captions to items and links."""

import numpy as np
import pyarrow as pa
import pytest
from dataset_samples import captions_of, excluded_of
from hypothesis import given, settings
from hypothesis import strategies as st

from fusemix.datasets.pairs import FileReader, pair_captions, require_counts
from fusemix.errors import DatasetError
from fusemix.interfaces import Rejected


def pair(captions, num_media=4, excluded=()):
    media = pa.table(
        {"id": [f"m{row}" for row in range(num_media)], "path": [f"{row}.png" for row in range(num_media)]}
    )
    return pair_captions(
        dataset="made up",
        revision="1",
        split="test",
        modality="image",
        media=media,
        reader=lambda table: FileReader(table["path"]),
        captions=captions,
        excluded=excluded,
    )


def test_media_without_caption_are_dropped_and_links_follow_the_rows_that_stay():
    pairs = pair([(3, "late"), (1, "early")])
    assert pairs.left.table["id"].to_pylist() == ["m1", "m3"]
    assert captions_of(pairs) == {"m1": ["early"], "m3": ["late"]}
    assert excluded_of(pairs) == [("m0", "no caption"), ("m2", "no caption")]


def test_the_reader_is_made_for_the_media_that_stay():
    assert pair([(3, "late"), (1, "early")]).left.read.paths.to_pylist() == ["1.png", "3.png"]


def test_what_the_source_has_named_in_vain_comes_first_in_the_list():
    pairs = pair([(0, "one"), (0, " ")], num_media=1, excluded=[Rejected("gone", "dataset", "no such file")])
    assert excluded_of(pairs) == [("gone", "no such file"), ("m0#1", "empty caption")]


def test_space_around_a_caption_is_not_part_of_it():
    assert captions_of(pair([(0, "  a square\n"), (1, "a square")], num_media=2)) == {
        "m0": ["a square"],
        "m1": ["a square"],
    }


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["", " ", "a", "b", "b ", "c"])), min_size=1))
def test_links_are_exactly_the_pairs_of_a_medium_and_a_caption_that_occur(captions):
    wanted = {(f"m{row}", text.strip()) for row, text in captions if text.strip()}
    if not wanted:
        with pytest.raises(DatasetError, match="no pair is left"):
            pair(captions)
        return
    pairs = pair(captions)
    found = [(item, text) for item, texts in captions_of(pairs).items() for text in texts]
    assert set(found) == wanted
    assert len(found) == len(wanted) == len(pairs.links)
    assert pairs.links.dtype == np.int64
    without = {f"m{row}" for row in range(4)} - {item for item, _ in wanted}
    assert {name for name, reason in excluded_of(pairs) if reason == "no caption"} == without


def test_no_pair_at_all_is_refused():
    with pytest.raises(DatasetError, match=r"^made up, split 'test': no pair is left\. The source holds no entry\.$"):
        pair([], num_media=0)


def test_no_pair_at_all_is_refused_with_the_first_three_reasons():
    gone = [Rejected(f"{number}.png", "dataset", "no such file") for number in range(1500)]
    with pytest.raises(
        DatasetError,
        match=r"no pair is left\. 1,501 entries were left out \(0\.png: no such file; 1\.png: no such file; "
        r"2\.png: no such file, …\)\.$",
    ):
        pair([(0, "")], num_media=1, excluded=gone)


def test_the_published_size_passes():
    pairs = pair([(0, "one"), (1, "two"), (1, "two")], num_media=2)
    assert require_counts(pairs, (2, 3), num_captions=3) is pairs


def test_another_size_than_the_published_one_is_refused_with_both_and_the_reasons():
    pairs = pair([(0, "one"), (0, "")], num_media=1, excluded=[Rejected("gone", "dataset", "no such file")])
    with pytest.raises(
        DatasetError,
        match=r"^made up, split 'test': published with 1,000 image items and 5,000 captions, but this copy "
        r"gives 1 and 2\. Figures measured on it cannot be compared\. 2 entries were left out \(gone: no such file; "
        r"m0#1: empty caption, …\)\. Complete the copy, or set dataset\.options\.check_counts=false "
        r"if this is meant\.$",
    ):
        require_counts(pairs, (1000, 5000), num_captions=2)


@pytest.mark.parametrize("expected", [(1, 2), (2, 1)])
def test_one_differing_count_is_enough_to_refuse(expected):
    with pytest.raises(DatasetError, match="but this copy gives 1 and 1"):
        require_counts(pair([(0, "one")], num_media=1), expected, num_captions=1)
