"""The items of a segment: rows at random, ids to positions."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fusemix.errors import IndexFolderError
from fusemix.search.items import ROWS_IN_GROUP, SCHEMA, ItemTable, write_items

COUNT = 2 * ROWS_IN_GROUP + 100


def row(number):
    name = f"photos/{(number * 7919) % COUNT:06}.jpg"
    captions = [f"caption {number}", "ein Bär\u2028"][: number % 3]
    return {"id": name, "modality": "image", "path": name, "captions": captions, "source": 0, "row": number}


@pytest.fixture
def items(tmp_path):
    write_items(tmp_path / "a.parquet", pa.Table.from_pylist([row(number) for number in range(COUNT)], SCHEMA))
    return ItemTable(tmp_path / "a.parquet", COUNT)


def test_any_row_is_read_back(items):
    places = [0, ROWS_IN_GROUP - 1, ROWS_IN_GROUP, COUNT - 1, 5, 5]
    assert items.rows(places) == [row(place) for place in places]


def test_an_id_leads_to_its_position(items):
    for place in np.random.default_rng(0).integers(COUNT, size=50).tolist():
        assert items.find(row(place)["id"]) == place
    for absent in ("", "photos/", "photos/999999.jpg", "zebra", "photos/000001"):
        assert items.find(absent) is None


def test_threads_may_ask_at_once(items):
    places = np.random.default_rng(1).integers(COUNT, size=400).tolist()
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda place: items.rows([place])[0], places))
    assert found == [row(place) for place in places]


def test_groups_are_small_so_that_a_row_costs_little(tmp_path, items):
    assert pq.ParquetFile(tmp_path / "a.parquet").metadata.row_group(0).num_rows == ROWS_IN_GROUP == 1024


@pytest.mark.parametrize("damage", ["absent", "cut", "rows"])
def test_a_damaged_table_is_named(tmp_path, items, damage):
    path = tmp_path / "a.parquet"
    content = path.read_bytes()
    path.unlink()  # the one that is open stays as it is
    if damage == "cut":
        path.write_bytes(content[:500])
    elif damage == "rows":
        write_items(path, pa.Table.from_pylist([row(0)], SCHEMA))
    with pytest.raises(IndexFolderError, match=r"a.parquet .*Make the index again \(fusemix index … --overwrite\)"):
        ItemTable(path, COUNT)
