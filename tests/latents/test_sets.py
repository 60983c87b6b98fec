import hashlib
import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from latent_samples import pair_set, write_store

from fusemix.disk.files import read_json
from fusemix.errors import ConfigError, LatentStoreError
from fusemix.interfaces import Items, Rejected
from fusemix.latents.item_tables import items_sha256
from fusemix.latents.links import LinkTable, described_links, read_links, write_links
from fusemix.latents.set_writer import damaged_files, replace_set, write_set
from fusemix.latents.sets import LatentSet

ENCODERS = {"image": ["eyes"], "text": ["words"]}
LINKS = np.array([[0, 0], [0, 1], [1, 2], [2, 3], [2, 1]])
SOURCE = {"name": "made_up", "options": {}}


def latents(rows: int, dim: int) -> np.ndarray:
    return np.random.default_rng(rows).standard_normal((rows, dim)).astype(np.float32)


@pytest.fixture
def folder(tmp_path):
    pairs = pair_set(LINKS)
    write_set(tmp_path / "set", pairs, SOURCE)
    write_store(tmp_path / "set", pairs.left, "eyes", latents(3, 6))
    write_store(tmp_path / "set", pairs.left, "more_eyes", latents(3, 2))
    write_store(tmp_path / "set", pairs.right, "words", latents(4, 5))
    return tmp_path / "set"


def test_a_set_gives_back_links_items_and_latents(folder):
    opened = LatentSet(folder, ENCODERS)
    assert (opened.links == LINKS).all()
    assert opened.left.table["id"].to_pylist() == ["picture-0", "picture-1", "picture-2"]
    assert opened.name == "made_up/train"
    assert (opened.right.take(np.array([3, 0])) == latents(4, 5)[[3, 0]]).all()


def test_tables_are_plain_parquet_that_other_tools_read(folder):
    table = pq.read_table(folder / "links.parquet")
    assert table.column_names == ["left_row", "right_row"]
    assert table["right_row"].to_pylist() == LINKS[:, 1].tolist()
    assert pq.read_table(folder / "items-text.parquet").column_names == ["id", "caption"]


def test_several_encoders_of_a_side_are_concatenated_in_order(folder):
    opened = LatentSet(folder, {"image": ["more_eyes", "eyes"], "text": ["words"]})
    assert opened.left.dim == 8
    assert (opened.left.take(np.array([1])) == np.concatenate([latents(3, 2)[1:2], latents(3, 6)[1:2]], axis=1)).all()


@pytest.mark.parametrize("dtypes", [["float16"], ["float32"], ["float16", "float32"], ["float16", "float16"]])
def test_a_side_has_the_dtype_of_what_is_taken_from_it(dtypes, tmp_path):
    pairs = pair_set(LINKS)
    write_set(tmp_path / "set", pairs, SOURCE)
    for place, dtype in enumerate(dtypes):
        write_store(tmp_path / "set", pairs.left, f"eyes-{place}", latents(3, 6), dtype=dtype)
    write_store(tmp_path / "set", pairs.right, "words", latents(4, 5))
    names = [f"eyes-{place}" for place in range(len(dtypes))]
    side = LatentSet(tmp_path / "set", {"image": names, "text": ["words"]}).left
    assert side.dtype == side.take(np.arange(2)).dtype


def test_links_of_items_without_latent_are_left_out(tmp_path):
    pairs = pair_set(LINKS)
    write_set(tmp_path / "set", pairs, SOURCE)
    bad = [Rejected("picture-0", "decode", "truncated")]
    write_store(tmp_path / "set", pairs.left, "eyes", latents(3, 6), bad)
    write_store(tmp_path / "set", pairs.right, "words", latents(4, 5), [Rejected("text-3", "encode", "NaN")])
    opened = LatentSet(tmp_path / "set", ENCODERS)
    assert opened.links.tolist() == [[1, 2], [2, 1]]
    assert opened.left.valid.tolist() == [False, True, True]
    assert opened.num_unusable == 2


@pytest.mark.parametrize("wrong", [[-1, 0], [0, 99], [2**60, 0]])
def test_links_to_items_that_are_not_there_are_refused(wrong, tmp_path):
    """As only somebody hostile writes them: their hash is right."""
    pairs = pair_set(LINKS)
    write_set(tmp_path / "set", pairs, SOURCE)
    write_store(tmp_path / "set", pairs.left, "eyes", latents(3, 6))
    write_store(tmp_path / "set", pairs.right, "words", latents(4, 5))
    table = LinkTable(np.array([*LINKS.tolist(), wrong], dtype=np.int64))
    write_links(tmp_path / "set" / "links.parquet", table)
    path = tmp_path / "set" / "set.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **described_links(table)}))
    with pytest.raises(LatentStoreError, match="names items that the set does not have"):
        _ = LatentSet(tmp_path / "set", ENCODERS).links


def test_a_set_without_a_usable_pair_is_refused(tmp_path):
    pairs = pair_set(np.array([[0, 0], [1, 1]]))
    write_set(tmp_path / "set", pairs, SOURCE)
    write_store(tmp_path / "set", pairs.left, "eyes", latents(2, 3), [Rejected("picture-0", "read", "gone")])
    write_store(tmp_path / "set", pairs.right, "words", latents(2, 3), [Rejected("text-1", "read", "gone")])
    with pytest.raises(LatentStoreError, match="no pair has latents on both sides"):
        _ = LatentSet(tmp_path / "set", ENCODERS).links


def test_a_store_made_from_other_items_is_refused(folder, tmp_path):
    other = pair_set(np.array([[0, 0], [1, 1], [3, 3]]))
    write_store(folder, other.left, "strange", latents(4, 6))
    with pytest.raises(LatentStoreError, match="strange was made from other items than"):
        LatentSet(folder, {"image": ["strange"], "text": ["words"]})


def test_missing_modalities_and_sets_are_named(folder, tmp_path):
    with pytest.raises(ConfigError, match="pairs image with text, but encoders names only: image"):
        LatentSet(folder, {"image": ["eyes"]})
    with pytest.raises(LatentStoreError, match="has no set.json, so it is no latent set"):
        LatentSet(tmp_path, ENCODERS)


def test_writing_the_same_set_again_changes_nothing(folder):
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    write_set(folder, pair_set(LINKS), {"name": "made_up", "options": {"folder": "moved"}})
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_another_set_is_refused_field_by_field_unless_it_may_be_overwritten(folder):
    other = pair_set(LINKS[:-1])
    with pytest.raises(LatentStoreError, match="num_links: on disk 5, now 4"):
        write_set(folder, other, SOURCE)
    assert (LatentSet(folder, ENCODERS).links == LINKS).all()
    place = write_set(folder, other, SOURCE, overwrite=True)
    assert (LatentSet(folder, ENCODERS).links == LINKS).all(), "until the other one is whole"
    assert replace_set(place) == folder
    assert json.loads((folder / "set.json").read_text())["num_links"] == 4
    assert not (folder / "image").exists()


def test_the_hash_of_items_sees_ids_order_and_captions_but_not_where_files_lie():
    table = pa.table({"id": ["a", "b"], "caption": ["x", "y"], "path": ["/1", "/2"]})
    same = [
        table.set_column(2, "path", [["/3", "/4"]]),
        pa.concat_tables([table.slice(0, 1), table.slice(1, 1)]),
    ]
    other = [
        table.take([1, 0]),
        table.set_column(1, "caption", [["x", "z"]]),
        table.slice(0, 1),
        table.rename_columns(["id", "text", "path"]),
    ]
    assert {items_sha256(t) for t in same} == {items_sha256(table)}
    assert items_sha256(table) not in {items_sha256(t) for t in other}


def test_two_sides_of_one_modality_are_refused(tmp_path):
    pairs = pair_set(LINKS)
    twins = replace(pairs, left=Items("text", pairs.left.table, pairs.left.read))
    with pytest.raises(ConfigError, match="both sides are text"):
        write_set(tmp_path / "set", twins, SOURCE)


def test_what_the_data_set_could_not_give_is_listed(tmp_path):
    pairs = replace(pair_set(LINKS), excluded=(Rejected("c.jpg", "dataset", "no such file"),))
    write_set(tmp_path / "set", pairs, SOURCE)
    assert json.loads((tmp_path / "set" / "quarantine.jsonl").read_text()) == {
        "id": "c.jpg",
        "stage": "dataset",
        "reason": "no such file",
    }


def hash_row_by_row(table):
    """The definition: names of the columns, then each row as JSON."""
    columns = [name for name in table.column_names if name != "path"]
    digest = hashlib.sha256(json.dumps(columns).encode())
    for row in table.select(columns).to_pylist():
        digest.update(json.dumps(list(row.values()), ensure_ascii=False).encode())
    return digest.hexdigest()


WORDS = st.sampled_from(["", '"', "\\", '\\"', "\n", "\x00", "\x1f", "\x7f", "\u2028", "ü😀", "[, ]"]) | st.text(
    max_size=4
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(WORDS, st.none() | WORDS, st.integers(-(2**63), 2**63 - 1)), max_size=5), st.integers(0, 5))
def test_the_hash_of_items_is_that_of_rows_written_as_json(rows, cut):
    schema = pa.schema([("id", pa.string()), ("note", pa.large_string()), ("num_bytes", pa.int64())])
    table = pa.Table.from_pylist([dict(zip(schema.names, row, strict=True)) for row in rows], schema)
    parts = pa.concat_tables([table.slice(0, cut), table.slice(cut)])
    assert items_sha256(table) == items_sha256(parts) == hash_row_by_row(table)


def test_the_hash_of_items_takes_columns_of_any_type_that_json_can_hold():
    table = pa.table(
        {
            "id": ["a", "b", "c"],
            "path": ["1", "2", "3"],
            "tar": pa.array(["x", "y", "x"]).dictionary_encode(),
            "seconds": [0.1, None, 1e300],
            "is_short": [True, False, None],
            "tags": [["one", 'two"'], [], None],
            "place": [{"x": 1}, {"x": None}, None],
            "size": pa.array([1, 2, 255], pa.uint8()),
            "row": [1, None, 3],
        }
    )
    assert items_sha256(table) == hash_row_by_row(table)
    assert items_sha256(table.slice(1, 1)) == hash_row_by_row(table.slice(1, 1)) != items_sha256(table)


def test_the_hash_of_items_is_known_so_that_older_caches_stay_valid():
    table = pa.table({"id": ["a.jpg#0", "b"], "caption": ['say "x"', "zwei\nZeilen ü"], "path": ["p", "q"]})
    # printf '["id", "caption"]["a.jpg#0", "say \\"x\\""]["b", "zwei\\nZeilen ü"]' | sha256sum
    assert items_sha256(table) == "764904b4587b7695a2ba8aba32ec5f181b5de6229f7691d6e15289b0453c16b7"


def test_a_long_table_of_links_comes_back_as_it_was(tmp_path):
    draw = np.random.default_rng(0)
    links = np.unique(draw.integers(0, 600, (200_000, 2)), axis=0)
    write_set(tmp_path / "set", pair_set(links), SOURCE)
    assert (LatentSet(tmp_path / "set", {"image": [], "text": []}).links == links).all()


def test_opening_reads_neither_tables_nor_links(folder):
    """So that it takes milliseconds, also with millions of items."""
    for path in folder.glob("*.parquet"):
        path.rename(path.with_suffix(".away"))
    opened = LatentSet(folder, ENCODERS)
    assert opened.left.dim == 6
    with pytest.raises(LatentStoreError, match=r"links.parquet is missing, so the set is damaged. Run the command"):
        _ = opened.links


def counted(times):
    return replace(pair_set(LINKS), times=None if times is None else np.array(times))


def test_a_set_keeps_how_often_each_pair_was_written_and_trains_on_each_once(tmp_path):
    times = [2, *[1] * (len(LINKS) - 1)]
    write_set(tmp_path / "set", counted(times), SOURCE)
    write_set(tmp_path / "once", counted(None), SOURCE)
    for name in ("set", "once"):
        for items, dim in zip(pair_set(LINKS).sides, (4, 3), strict=True):
            write_store(tmp_path / name, items, "made", np.ones((len(items), dim), np.float32))
    one, other = (LatentSet(tmp_path / name, {"image": ["made"], "text": ["made"]}) for name in ("set", "once"))
    assert one.link_table.times.tolist() == times
    assert one.links.tolist() == other.links.tolist() == LINKS.tolist()
    assert other.link_table.times is None
    assert one.description["num_captions"] == len(LINKS) + 1
    assert one.description["links_sha256"] == other.description["links_sha256"]
    assert "num_captions" not in other.description
    assert pq.read_schema(tmp_path / "once" / "links.parquet").names == ["left_row", "right_row"]


def test_numbers_of_times_that_are_lost_or_changed_are_found(tmp_path):
    write_set(tmp_path / "set", counted([2, *[1] * (len(LINKS) - 1)]), SOURCE)
    path = tmp_path / "set" / "links.parquet"
    for table in (LinkTable(LINKS), LinkTable(LINKS, np.array([3, *[1] * (len(LINKS) - 1)]))):
        write_links(path, table)
        assert list(damaged_files(tmp_path / "set", read_json(tmp_path / "set" / "set.json"), read_back=True)) == [
            "links.parquet"
        ]


def test_a_set_that_counted_no_caption_twice_gets_its_numbers_and_keeps_its_latents(tmp_path):
    folder, times = tmp_path / "set", [2, *[1] * (len(LINKS) - 1)]
    write_set(folder, counted(None), SOURCE)
    write_store(folder, pair_set(LINKS).left, "made", np.ones((len(pair_set(LINKS).left), 4), np.float32))
    write_links(folder / "links.parquet", LinkTable(LINKS, np.array(times)))  # killed before set.json
    assert not damaged_files(folder, read_json(folder / "set.json"), read_back=True)
    write_set(folder, counted(times), SOURCE)
    assert not damaged_files(folder, read_json(folder / "set.json"), read_back=True)
    assert read_links(folder / "links.parquet").times.tolist() == times
    assert (folder / "image" / "made" / "manifest.json").is_file()
    with pytest.raises(LatentStoreError, match="times_sha256"):
        write_set(folder, counted([3, *times[1:]]), SOURCE)
