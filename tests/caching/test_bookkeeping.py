"""What a run keeps in mind costs the same at its end as at its beginning: counted, not timed."""

import os
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from fusemix.encoders.reading import Done, Task, cut_windows, rows_left
from fusemix.errors import LatentStoreError
from fusemix.interfaces import Items, Rejected, values_near
from fusemix.latents import records
from fusemix.latents.parts import Part
from fusemix.latents.writer import StoreWriter
from fusemix.wiring.caching.filling import Tally

ROWS, MANY = 2, 40
POOL = pa.proxy_memory_pool(pa.default_memory_pool())
"""Counts what Arrow takes; it must outlive that."""


def opened(folder, num_shards=MANY, **changes) -> StoreWriter:
    ids = pa.chunked_array([[str(number) for number in range(ROWS * num_shards)]])
    about = {"modality": "text", "dim": 3, "dtype": "float32", "shard_size": ROWS, "fingerprint": {}}
    return StoreWriter(folder, ids=ids, **{**about, **changes})


def bad(*numbers: int) -> list[Rejected]:
    return [Rejected(str(number), "decode", "broken") for number in numbers]


def tally(share: float, tasks: Sequence[Task] = ()) -> Tally:
    return Tally(Path("latents/all/image"), 1_000_000, tasks, share)


# What was set aside


def test_a_tally_of_many_bad_items_holds_a_few_of_them():
    counted = tally(0.5)
    for start in range(0, 20_000, 10):
        counted.add(64, bad(*range(start, start + 10)))
    assert (counted.num_rows, counted.num_rejected) == (2_000 * 64, 20_000)
    held = [one for value in vars(counted).values() if isinstance(value, list | frozenset) for one in value]
    assert [item.id for item in held] == ["0", "1", "2", "3", "4"]


def test_an_item_counts_once_whichever_encoders_and_parts_set_it_aside():
    of_parts = Done(np.ones(4, bool), tuple(bad(1, 2)))
    counted = tally(0.002, [Task(range(4), ("a", "b"), {"a": of_parts, "b": of_parts})])
    counted.add(4, bad(1, 2, 1, 2))
    counted.add(500, bad(2))
    assert counted.num_rejected == 2, "of 1,024 items 2 may be bad"
    with pytest.raises(
        LatentStoreError, match=r"(?s)3 of 514 items so far could not be used.*\n  1 \(decode\).*\n  9 \("
    ):
        counted.add(10, bad(9, 9))


# Shards, and parts of them


def counting(monkeypatch, module, name: str) -> list:
    calls, real = [], getattr(module, name)
    monkeypatch.setattr(module, name, lambda *args, **kw: (calls.append(args), real(*args, **kw))[1])
    return calls


def write_all(writer: StoreWriter) -> None:
    for index, span in enumerate(writer.spans):
        first = Part(np.array([span.start]), np.ones((1, 3), np.float32), (), np.zeros(1, np.uint64))
        writer.parts.keep(index, first)
        writer.finish(index, first._replace(rows=np.array([span.stop - 1])))


def test_writing_shards_in_parts_lists_the_folder_no_more_often_for_many(tmp_path, monkeypatch):
    listed = []
    for num_shards in (3, MANY):
        with monkeypatch.context() as patch:
            writer = opened(tmp_path / str(num_shards), num_shards)
            calls = counting(patch, os, "scandir")
            write_all(writer)
            listed.append(len(calls))
        assert len(writer.seal().shards) == num_shards
    assert listed == [0, 0]


def test_writing_a_shard_goes_through_no_list_of_the_shards_before(tmp_path):
    class Records(dict):
        looks = 0

        def __iter__(self):
            self.looks += 1
            return super().__iter__()

    writer = opened(tmp_path / "store")
    writer._finished.records = found = Records()
    write_all(writer)
    assert (found.looks, len(found)) == (0, MANY)


def test_a_second_look_reads_the_records_of_what_was_missing_alone(tmp_path, monkeypatch):
    first, other = opened(tmp_path / "store"), opened(tmp_path / "store")
    latents = np.ones((ROWS, 3), np.float32)
    for index in range(MANY - 3):
        first.write(index, latents, bad(ROWS * index) if index % 2 else [])
    other.look_again()
    for index in range(MANY - 3, MANY - 1):
        first.write(index, latents, [])
    calls = counting(monkeypatch, records, "read_json")
    assert other.missing() == [MANY - 1]
    assert len(calls) == 2
    rows = {index: (ROWS * index + np.arange(1)).tolist() for index in range(1, MANY - 3, 2)}
    assert {index: found.tolist() for index, found in other.set_aside().items()} == rows
    assert other._finished.num_rejected == len(rows)


def test_windows_are_cut_when_their_turn_comes():
    met = []

    def tasks():
        for start in range(0, 8192 * 48_828, 8192):
            met.append(start)
            yield Task(range(start, start + 8192), ("a",))

    pieces = list(islice(cut_windows("image", tasks(), {"a": 8}), 300))
    assert len(met) <= 2
    assert [row for piece in pieces[:100] for row in piece.rows] == list(range(sum(len(p.rows) for p in pieces[:100])))
    half = np.arange(64) < 32
    task = Task(range(64), ("a",), {"a": Done(half)})
    assert rows_left("image", task, {"a": 8}) == sum(len(p.rows) for p in cut_windows("image", [task], {"a": 8})) < 64


# Ids


def test_ids_of_a_window_are_taken_without_joining_all():
    chunks = [[f"{number:08}" for number in range(at, at + 1_000)] for at in range(0, 200_000, 1_000)]
    ids = pa.chunked_array(chunks)
    items = Items("image", pa.table({"id": ids}), lambda row: b"")
    rows, before = range(150_990, 151_020), pa.default_memory_pool()
    pa.set_memory_pool(POOL)
    try:
        found = items.ids_at(rows)
        of_some = values_near(ids, np.array([7, 3, 5]))
        placed = records.rows_of(ids, ["00150999", "nowhere", "00000003"]).tolist()
        few = items.take(np.array([199_999, 3, 3, 150_000]))
        assert POOL.max_memory() < ids.nbytes / 20
    finally:
        pa.set_memory_pool(before)
    assert found == [f"{number:08}" for number in rows]
    assert of_some == ["00000007", "00000003", "00000005"]
    assert placed == [150_999, -1, 3]
    assert few.table["id"].to_pylist() == ["00199999", "00000003", "00000003", "00150000"]
