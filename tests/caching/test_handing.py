"""What the first process has listed and looked up, the others map into memory."""

import numpy as np
import pyarrow as pa

from fusemix.datasets.pairs import text_reader
from fusemix.datasets.tar_reader import tar_reader
from fusemix.interfaces import Items
from fusemix.wiring.caching.handing import handing, taken


def items(num_rows: int) -> Items:
    table = pa.table({"id": [str(n) for n in range(num_rows)], "caption": [f"caption {n}" for n in range(num_rows)]})
    return Items("text", table, text_reader(table))


def in_tars(folder) -> Items:
    (folder / "0.tar").write_bytes(b"0123456789")
    path = pa.chunked_array([pa.array([str(folder / "0.tar")] * 2).dictionary_encode()] * 2)
    columns = {"id": list("abcd"), "path": path, "offset": [0, 2, 4, 6], "num_bytes": [2, 2, 2, 4]}
    table = pa.table({**columns, "mtime_ns": np.arange(4)})
    return Items("image", table, tar_reader(table))


def test_tables_are_those_of_the_first_process_and_take_no_memory_of_their_own(tmp_path):
    sides = in_tars(tmp_path), items(100_000)
    with handing(tmp_path, sides) as handed:
        before = pa.total_allocated_bytes()
        found = [taken(one) for one in handed or ()]
        assert pa.total_allocated_bytes() - before < 1_000
        for one, first in zip(found, sides, strict=True):
            assert one.modality == first.modality
            assert one.table.equals(first.table)
            assert [one.read(row) for row in (3, 0)] == [first.read(row) for row in (3, 0)]
    assert [path.name for path in tmp_path.iterdir()] == ["0.tar"], "nothing stays"


def test_a_data_set_with_a_reader_of_its_own_is_loaded_by_each_process(tmp_path):
    own = Items("image", items(3).table, lambda row: b"")
    with handing(tmp_path, (own, items(3))) as handed:
        assert handed is None
        assert not list(tmp_path.iterdir())


def test_a_full_disk_makes_each_process_load_the_data_set(tmp_path):
    with handing(tmp_path / "gone", (items(3), items(3))) as handed:
        assert handed is None
