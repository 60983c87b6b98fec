"""From media and captions to items and links."""

import numpy as np
import pyarrow as pa
import pytest
from dataset_samples import captions_of, excluded_of
from hypothesis import given, settings
from hypothesis import strategies as st

from fusemix.datasets.columns import ROWS_AT_ONCE
from fusemix.datasets.pairs import FileReader, counted_links, pair_captions, places_within, require_counts
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


def pair_in_plain_python(captions, num_media):
    """What pairing means, with lists and dicts: caption table, left ids, links by row, and what is left out."""
    texts, links, left_out, seen = {}, set(), [], [0] * num_media
    for row, caption in captions:
        name, text = f"m{row}#{seen[row]}", caption.strip()
        seen[row] += 1
        if text:
            texts.setdefault(text, name)
            links.add((row, text))
        else:
            left_out.append((name, "empty caption"))
    rows = sorted({row for row, _ in links})
    place = {text: number for number, text in enumerate(texts)}
    links = sorted((rows.index(row), place[text]) for row, text in links)
    left_out += [(f"m{row}", "no caption") for row in range(num_media) if row not in rows]
    return [[name, text] for text, name in texts.items()], [f"m{row}" for row in rows], links, left_out


def parts_of(pairs):
    captions = [list(row.values()) for row in pairs.right.table.to_pylist()]
    return captions, pairs.left.table["id"].to_pylist(), [tuple(k) for k in pairs.links.tolist()], excluded_of(pairs)


ODD = ["", " ", "\x1f", "\x85", "\u2028", "a", "a\x1c", "\u3000a", "ä", "a\u0308", "\u200ba", "a#0", "m0#0", '"', "\0"]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from(ODD) | st.text(max_size=2))))
def test_pairing_gives_what_lists_and_dicts_give(captions):
    captions = [*captions, (2, "one that counts")]
    assert parts_of(pair(captions, num_media=6)) == pair_in_plain_python(captions, 6)


def test_pairing_gives_the_same_however_long_the_stream_is():
    draw = np.random.default_rng(0)
    rows, words = draw.integers(0, 40, ROWS_AT_ONCE + 5_000), draw.integers(0, 300, ROWS_AT_ONCE + 5_000)
    captions = [(int(row), f" word {word}" if word else "") for row, word in zip(rows, words, strict=True)]
    assert parts_of(pair(iter(captions), num_media=41)) == pair_in_plain_python(captions, 41)


def test_captions_may_come_as_a_table():
    captions = [(3, "late"), (1, "early"), (1, ""), (1, "late")]
    table = pa.table({"row": [row for row, _ in captions], "caption": [text for _, text in captions]})
    assert parts_of(pair(table)) == parts_of(pair(captions))


def test_media_keep_the_types_and_order_of_their_columns():
    media = pa.table({"id": ["a", "b", "c"], "tar": pa.array(["x", "y", "x"]).dictionary_encode(), "size": [1, 2, 3]})
    pairs = pair_captions(
        dataset="d",
        revision="1",
        split="s",
        modality="image",
        media=media,
        reader=lambda table: FileReader(table["id"]),
        captions=[(0, "one"), (2, "two")],
    )
    assert pairs.left.table.equals(media.take([0, 2]))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 4)))
def test_a_place_is_the_number_of_earlier_captions_of_the_medium(rows):
    found = places_within(np.array(rows, dtype=np.int64), 5)
    assert found.tolist() == [rows[:place].count(row) for place, row in enumerate(rows)]


def test_places_are_counted_on_over_the_whole_stream():
    rows = np.arange(ROWS_AT_ONCE * 2) % 1000
    assert (places_within(rows, 1000) == np.arange(ROWS_AT_ONCE * 2) // 1000).all()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2**31), st.integers(0, 2**31))))
def test_links_and_their_numbers_of_times_are_those_of_numpy(links):
    links = np.array([*links, *links[::2]], dtype=np.int64).reshape(-1, 2)
    found, times = counted_links(links[:, 0], links[:, 1].copy())
    expected, counts = np.unique(links, axis=0, return_counts=True)
    assert found.tolist() == expected.tolist()
    assert (times is None) == (counts == 1).all()
    assert times is None or times.tolist() == counts.tolist()


def test_a_caption_written_twice_for_one_item_is_one_link_that_counts_twice():
    pairs = pair([(0, "a cat"), (0, "a cat "), (1, "a cat"), (2, "a dog"), (0, "a cat")])
    assert dict(zip(map(tuple, pairs.links.tolist()), pairs.times.tolist(), strict=True)) == {
        (0, 0): 3, (1, 0): 1, (2, 1): 1
    }  # fmt: skip
    assert pair([(0, "a cat"), (1, "a cat"), (0, "a dog")]).times is None
