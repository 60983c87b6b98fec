import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fusemix.disk.files import sha256_of_file
from fusemix.errors import LatentStoreError
from fusemix.latents.foreign import NpyVectors, fill_store, match_ids, read_ids, require_agreement
from fusemix.latents.records import read_quarantine
from fusemix.latents.store import LatentStore
from fusemix.latents.writer import StoreWriter

VECTORS = np.random.default_rng(0).standard_normal((20, 6)).astype(np.float32)


def save(path: Path, array: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, array)
    return path


def writer(folder: Path, num_items: int, **options: object) -> StoreWriter:
    ids = pa.chunked_array([[f"item-{i}" for i in range(num_items)]])
    settings = {"dtype": "float16", "shard_size": 8, "fingerprint": {"encoder": {"family": "imported"}}} | options
    return StoreWriter(folder / "image/mine", ids=ids, modality="image", dim=6, **settings)


def fill(store: StoreWriter, vectors: NpyVectors, rows: np.ndarray) -> None:
    count = sum(len(span) for span in store.spans)
    fill_store(store, [f"item-{i}" for i in range(count)], vectors, rows, advance=lambda _: None)


@pytest.mark.parametrize("cuts", [[], [7], [3, 4, 19]])
def test_a_folder_of_files_reads_like_their_concatenation(tmp_path, cuts):
    for number, part in enumerate(np.split(VECTORS, cuts)):
        save(tmp_path / "many" / f"part_{number}.npy", part)
    vectors = NpyVectors(tmp_path / "many")
    rows = np.random.default_rng(1).permutation(20)
    assert len(vectors) == 20
    assert vectors.dim == 6
    np.testing.assert_array_equal(vectors.take(rows), VECTORS[rows])


@pytest.mark.parametrize("name", ["{}.npy", "img_emb_{}.npy", "{}_vectors.npy", "run2_{}.npy"])
def test_files_are_read_in_the_order_of_their_numbers_however_wide_these_are(name, tmp_path):
    for number, row in enumerate(VECTORS):
        save(tmp_path / "many" / name.format(number), row[None])
    save(tmp_path / "many/._0.npy", VECTORS).write_bytes(b"\0\5\x16\7")
    vectors = NpyVectors(tmp_path / "many")
    np.testing.assert_array_equal(vectors.take(np.arange(20)), VECTORS)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            ["0", "2", "10", "mean"],
            r"holds 4 files that are named in several ways, such as 10\.npy and 2\.npy, so the ord",
        ),
        (["1", "01"], r"01\.npy and 1\.npy have the same number\. Which one comes first\?$"),
    ],
)
def test_files_whose_order_is_not_known_are_refused(names, message, tmp_path):
    for name in names:
        save(tmp_path / "many" / f"{name}.npy", VECTORS)
    with pytest.raises(LatentStoreError, match=message):
        NpyVectors(tmp_path / "many")


def test_files_of_several_names_are_read_where_text_and_numbers_agree(tmp_path):
    for name, rows in (("a_0", VECTORS[:8]), ("a_1", VECTORS[8:12]), ("b", VECTORS[12:])):
        save(tmp_path / "many" / f"{name}.npy", rows)
    np.testing.assert_array_equal(NpyVectors(tmp_path / "many").take(np.arange(20)), VECTORS)


def test_arrays_without_columns_or_rows_are_refused_but_one_part_may_be_empty(tmp_path):
    with pytest.raises(LatentStoreError, match=r"holds rows of no columns: shape \(20, 0\)\."):
        NpyVectors(save(tmp_path / "narrow.npy", VECTORS[:, :0]))
    with pytest.raises(LatentStoreError, match=r"short\.npy holds no rows"):
        NpyVectors(save(tmp_path / "short.npy", VECTORS[:0]))
    for name, rows in (("0", VECTORS[:8]), ("1", VECTORS[:0]), ("2", VECTORS[8:])):
        save(tmp_path / "many" / f"{name}.npy", rows)
    np.testing.assert_array_equal(NpyVectors(tmp_path / "many").take(np.arange(20)), VECTORS)


def test_rows_of_any_float_type_come_out_as_float32(tmp_path):
    for dtype in ("<f2", ">f4", "<f8"):
        path = save(tmp_path / "one.npy", VECTORS.astype(dtype))
        taken = NpyVectors(path).take(np.array([3, 0]))
        np.testing.assert_array_equal(taken, VECTORS.astype(dtype)[[3, 0]].astype(np.float32))
    save(tmp_path / "one.npy", np.asfortranarray(VECTORS))
    np.testing.assert_array_equal(NpyVectors(tmp_path / "one.npy").take(np.arange(20)), VECTORS)


def test_the_hash_of_one_file_is_the_files_and_that_of_a_folder_depends_on_the_order(tmp_path):
    path = save(tmp_path / "a/0.npy", VECTORS)
    assert NpyVectors(path).sha256() == sha256_of_file(path)
    save(tmp_path / "a/1.npy", VECTORS + 1)
    save(tmp_path / "b/0.npy", VECTORS + 1)
    save(tmp_path / "b/1.npy", VECTORS)
    assert NpyVectors(tmp_path / "a").sha256() != NpyVectors(tmp_path / "b").sha256()


def test_what_is_no_table_of_floats_is_refused_by_name(tmp_path):
    with pytest.raises(LatentStoreError, match=r"there is no .npy file at .*gone.npy"):
        NpyVectors(tmp_path / "gone.npy")
    with pytest.raises(LatentStoreError, match=r"there is no .npy file in "):
        NpyVectors(tmp_path)
    with pytest.raises(LatentStoreError, match=r"holds int64 of shape \(20, 6\), but latents are one float array"):
        NpyVectors(save(tmp_path / "whole.npy", np.zeros((20, 6), dtype=np.int64)))
    with pytest.raises(LatentStoreError, match=r"holds float32 of shape \(6,\)"):
        NpyVectors(save(tmp_path / "flat.npy", VECTORS[0]))
    objects = np.array([{"a": 1}], dtype=object)
    np.save(tmp_path / "objects.npy", objects, allow_pickle=True)
    with pytest.raises(LatentStoreError, match=r"objects.npy cannot be read as .npy"):
        NpyVectors(tmp_path / "objects.npy")
    whole = save(tmp_path / "cut.npy", VECTORS).read_bytes()
    (tmp_path / "cut.npy").write_bytes(whole[:-40])
    with pytest.raises(LatentStoreError, match=r"cut.npy cannot be read as .npy"):
        NpyVectors(tmp_path / "cut.npy")


def test_files_of_two_widths_are_refused(tmp_path):
    save(tmp_path / "many/0.npy", VECTORS)
    save(tmp_path / "many/1.npy", VECTORS[:, :5])
    with pytest.raises(LatentStoreError, match=r"1.npy holds vectors of width 5, but .*0.npy of width 6"):
        NpyVectors(tmp_path / "many")


def test_ids_are_the_same_in_every_format(tmp_path):
    ids = ["b.jpg", "a, b.jpg", "17", 'q"uote', "line\u2028separator"]
    (tmp_path / "ids.txt").write_text("\n".join(ids) + "\n")
    (tmp_path / "ids.json").write_text(json.dumps(["b.jpg", "a, b.jpg", 17, *ids[3:]]))
    rows = ['"{}",0'.format(item.replace('"', '""')) for item in ids]
    (tmp_path / "ids.csv").write_text("\n".join(["id,other", *rows]))
    pq.write_table(pa.table({"other": [1.0] * 5, "id": ids}), tmp_path / "ids.parquet")
    for ending in ("txt", "json", "csv", "parquet"):
        assert read_ids(tmp_path / f"ids.{ending}") == ids


def test_a_file_that_holds_no_ids_is_refused_with_what_it_should_hold(tmp_path):
    (tmp_path / "ids.json").write_text('{"id": 1}')
    (tmp_path / "ids.csv").write_text("name\na\n")
    (tmp_path / "ids.bin").write_text("a")
    pq.write_table(pa.table({"id": ["a", None]}), tmp_path / "ids.parquet")
    (tmp_path / "blank.txt").write_text("a\n\nb\n")
    (tmp_path / "true.json").write_text('["a", true]')
    (tmp_path / "twice.csv").write_text("id,id\na,b\n")
    pq.write_table(pa.table({"id": [1.0, float("nan")]}), tmp_path / "nan.parquet")
    for name, reason in [
        ("blank.txt", "row 1 has none"),
        ("true.json", "not a list"),
        ("twice.csv", "two columns are called"),
        ("nan.parquet", "row 1 has none"),
    ]:
        with pytest.raises(LatentStoreError, match=f"holds no list of ids .*{reason}.*Give a .txt with one"):
            read_ids(tmp_path / name)
    for ending, reason in [("json", "not a list"), ("csv", "'id'"), ("bin", ".bin"), ("parquet", "row 1 has none")]:
        with pytest.raises(LatentStoreError, match=f"holds no list of ids .*{reason}.*Give a .txt with one"):
            read_ids(tmp_path / f"ids.{ending}")
    with pytest.raises(LatentStoreError, match="there is no file of ids"):
        read_ids(tmp_path / "gone.txt")


def test_rows_are_joined_by_id_whatever_their_order():
    matched = match_ids(["a", "b", "c"], ["z", "c", "a", None, "z", "c", "y"])
    assert matched.rows.tolist() == [2, -1, 1]
    assert matched.repeats.tolist() == [[1, 5]]
    assert matched.unknown == ["z", "y"]


def test_an_item_may_occur_again_with_its_vector_but_not_with_another(tmp_path):
    repeated = np.concatenate([VECTORS[:3], VECTORS[:3] * (1 + 1e-3)])
    ids = ["a", "b", "c"] * 2
    vectors = NpyVectors(save(tmp_path / "v.npy", repeated))
    require_agreement(vectors, match_ids(["a", "b", "c"], ids), ids)
    repeated[4] = -repeated[4]
    vectors = NpyVectors(save(tmp_path / "w.npy", repeated))
    with pytest.raises(LatentStoreError, match=r"rows 1 and 4 are both named 'b', but hold different vectors"):
        require_agreement(vectors, match_ids(["a", "b", "c"], ids), ids)
    repeated[4] = np.nan
    vectors = NpyVectors(save(tmp_path / "x.npy", repeated))
    require_agreement(vectors, match_ids(["a", "b", "c"], ids), ids)


def test_a_filled_store_holds_each_item_its_own_vector_and_sets_the_rest_aside(tmp_path):
    source = VECTORS.copy()
    source[4, 2], source[9, 0] = np.nan, 1e6
    vectors = NpyVectors(save(tmp_path / "v.npy", source))
    rows = np.random.default_rng(2).permutation(20)
    absent, nan_item, huge_item = (f"item-{np.flatnonzero(rows == row)[0]}" for row in (1, 4, 9))
    rows[rows == 1] = -1
    store = writer(tmp_path, 20)
    fill(store, vectors, rows)
    store.seal()
    rejected = {item.id: (item.stage, item.reason) for item in read_quarantine(store.folder)}
    assert rejected.keys() == {absent, nan_item, huge_item}
    assert rejected[absent] == ("import", "there is no vector for it among the imported ones")
    assert rejected[nan_item][0] == "import"
    assert "holds NaN" in rejected[nan_item][1]
    assert "too large for float16; store with dtype=float32" in rejected[huge_item][1]
    good = np.array([i for i in range(20) if f"item-{i}" not in rejected])
    np.testing.assert_array_equal(LatentStore(store.folder).take(good), VECTORS[rows[good]].astype(np.float16))


def test_a_number_that_float16_cannot_hold_is_kept_in_float32(tmp_path):
    source = VECTORS * 1e6
    store = writer(tmp_path, 20, dtype="float32")
    fill(store, NpyVectors(save(tmp_path / "v.npy", source)), np.arange(20))
    assert store.seal().num_rejected == 0
    np.testing.assert_array_equal(LatentStore(store.folder).take(np.arange(20)), source)


def test_an_import_that_was_interrupted_goes_on_and_leaves_the_same_bytes(tmp_path):
    vectors = NpyVectors(save(tmp_path / "v.npy", VECTORS))
    ids = [f"item-{i}" for i in range(20)]
    written: list[int] = []

    def interrupt(count: int) -> None:
        written.append(count)
        if len(written) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fill_store(writer(tmp_path / "a", 20), ids, vectors, np.arange(20), advance=interrupt)
    again = writer(tmp_path / "a", 20)
    assert again.missing() == [2]
    fill(again, vectors, np.arange(20))
    again.seal()
    whole = writer(tmp_path / "b", 20)
    fill(whole, vectors, np.arange(20))
    whole.seal()
    for path in whole.folder.iterdir():
        assert path.read_bytes() == (again.folder / path.name).read_bytes()
