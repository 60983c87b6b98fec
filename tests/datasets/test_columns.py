"""Long columns against lists and dicts."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fusemix.datasets.columns import ROWS_AT_ONCE, gather, keep, numbered, values

SCHEMA = pa.schema([("name", pa.string()), ("number", pa.int64())])
TEXTS = st.lists(st.sampled_from(["", "a", "b", "ä", "a\u0308", "\u2028", "A", "a ", "0", "\0"]) | st.text(max_size=3))


def chunked(items, sizes=(1, 3, 2)):
    """Chunks of uneven sizes, an empty one among them."""
    chunks, at = [pa.array([], pa.string())], 0
    while at < len(items):
        size = sizes[len(chunks) % len(sizes)]
        chunks.append(pa.array(items[at : at + size], pa.string()))
        at += size
    return chunks


def number_by_dict(items):
    places = {}
    return [places.setdefault(item, len(places)) for item in items]


@settings(max_examples=40, deadline=None)
@given(TEXTS)
def test_equal_texts_share_a_number_in_the_order_of_first_appearance(items):
    numbers, first = numbered(chunked(items))
    assert numbers.tolist() == number_by_dict(items)
    assert first.tolist() == [items.index(item) == row for row, item in enumerate(items)]


def test_numbers_do_not_depend_on_where_chunks_end():
    items = [f"{number % 40_000} of a crowd" for number in range(ROWS_AT_ONCE + 20_000)]
    numbers, first = numbered([pa.array(items)])
    assert numbers.tolist() == number_by_dict(items)
    assert first.sum() == 40_000
    assert (numbered([pa.array(items[:17]), pa.array(items[17:])])[0] == numbers).all()


@pytest.mark.parametrize("count", [0, 1, ROWS_AT_ONCE, ROWS_AT_ONCE + 1])
def test_a_stream_becomes_a_table_and_a_stream_again(count):
    rows = [(f"row {number}", -number) for number in range(count)]
    table = gather(iter(rows), SCHEMA)
    assert table.schema == SCHEMA
    assert list(zip(values(table["name"].chunks), values(table["number"].chunks), strict=True)) == rows


def test_half_a_surrogate_pair_is_replaced_and_two_halves_are_joined():
    table = gather([("a\ud83d", 1), ("\ud83d\ude00", 2), ("\udce9t\u00e9", 3)], SCHEMA)
    assert table["name"].to_pylist() == ["a\ufffd", "😀", "\ufffdt\u00e9"]


@settings(max_examples=40, deadline=None)
@given(TEXTS, st.data())
def test_rows_of_a_mask_stay_in_place(items, data):
    mask = data.draw(st.lists(st.booleans(), min_size=len(items), max_size=len(items)))
    chunks = chunked(items)
    assert keep(chunks, np.array(mask, dtype=bool)) is chunks
    assert list(values(chunks)) == [item for item, stays in zip(items, mask, strict=True) if stays]
