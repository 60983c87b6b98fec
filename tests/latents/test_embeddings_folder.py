import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fusemix.errors import LatentStoreError, OutputError
from fusemix.latents.embeddings_folder import EmbeddingsFolder
from fusemix.latents.embeddings_writer import EmbeddingsWriter, metadata_table, unit_rows

GENERATOR = np.random.default_rng(0)
LEFT = GENERATOR.standard_normal((25, 4)).astype(np.float32)
RIGHT = GENERATOR.standard_normal((25, 3)).astype(np.float16)
TABLE = pa.table({"image_path": [f"{i % 9}.jpg" for i in range(25)], "caption": [f"c {i}" for i in range(25)]})


def opened(folder: Path, **changes: object) -> EmbeddingsWriter:
    settings = {"modalities": ("image", "text"), "num_rows": 25, "rows_per_file": 2, "about": {"a": 1}}
    return EmbeddingsWriter(folder, **{**settings, "overwrite": False, **changes})


def write(writer: EmbeddingsWriter, table: pa.Table = TABLE) -> None:
    for index in writer.missing():
        span = writer.spans[index]
        rows = slice(span.start, span.stop)
        writer.write(index, LEFT[rows], RIGHT[rows], table.slice(span.start, len(span)))
    writer.seal()


def read_as_others_do(folder: Path) -> tuple[np.ndarray, np.ndarray, pa.Table]:
    """As embedding-reader does: file names sorted as text, vectors and metadata joined by position."""
    left, right = (
        np.concatenate([np.load(path) for path in sorted((folder / name).glob("*.npy"), key=str)])
        for name in ("img_emb", "text_emb")
    )
    return left, right, pa.concat_tables([pq.read_table(p) for p in sorted((folder / "metadata").glob("*.parquet"))])


def test_files_sorted_as_text_are_in_order_of_rows_also_beyond_ten(tmp_path):
    write(opened(tmp_path / "out"))
    names = sorted(path.name for path in (tmp_path / "out/img_emb").iterdir())
    assert names == [f"img_emb_{i:02d}.npy" for i in range(13)]
    left, right, table = read_as_others_do(tmp_path / "out")
    assert left.dtype == right.dtype == np.float16
    for found, given in ((left, LEFT), (right, RIGHT)):
        exact = given.astype(np.float64)
        np.testing.assert_allclose(found, exact / np.linalg.norm(exact, axis=1, keepdims=True), atol=5e-4)
    assert table["caption"].to_pylist() == TABLE["caption"].to_pylist()


def test_the_headers_are_such_as_embedding_reader_parses(tmp_path):
    write(opened(tmp_path / "out"))
    header = (tmp_path / "out/img_emb/img_emb_00.npy").read_bytes()[:128]
    assert b"'descr': '<f2', 'fortran_order': False, 'shape': (2, 4)" in header


def test_unit_rows_have_length_one_at_any_scale_and_zero_stays_zero():
    for scale in (1e-30, 1.0, 1e30):
        lengths = np.linalg.norm(unit_rows(LEFT * np.float32(scale)).astype(np.float64), axis=1)
        np.testing.assert_allclose(lengths, 1, atol=1e-3)
    assert not unit_rows(np.zeros((2, 3), dtype=np.float32)).any()


def test_an_interrupted_export_goes_on_and_leaves_the_same_bytes(tmp_path):
    first = opened(tmp_path / "out")
    first.write(0, LEFT[:2], RIGHT[:2], TABLE.slice(0, 2))
    (tmp_path / "out/metadata/metadata_00.parquet").unlink()  # killed between two files of one number
    with pytest.raises(LatentStoreError, match="is an export that did not end"):
        EmbeddingsFolder(tmp_path / "out")
    again = opened(tmp_path / "out")
    assert again.missing() == list(range(13))
    write(again)
    write(opened(tmp_path / "whole"))
    files = [path.relative_to(tmp_path / "whole") for path in (tmp_path / "whole").rglob("*") if path.is_file()]
    assert len(files) == 3 * 13 + 1
    for path in files:
        assert (tmp_path / "out" / path).read_bytes() == (tmp_path / "whole" / path).read_bytes()
    assert opened(tmp_path / "out").missing() == []


def test_a_file_that_was_deleted_is_written_again(tmp_path):
    write(opened(tmp_path / "out"))
    (tmp_path / "out/text_emb/text_emb_07.npy").unlink()
    again = opened(tmp_path / "out")
    assert again.missing() == [7]
    assert not (tmp_path / "out/export.json").exists()
    write(again)
    assert opened(tmp_path / "out").missing() == []


def test_another_export_is_refused_field_by_field_until_it_may_overwrite(tmp_path):
    write(opened(tmp_path / "out"))
    with pytest.raises(LatentStoreError, match=r"(?s)made by something else:.*rows_per_file: on disk 2, now 20"):
        opened(tmp_path / "out", rows_per_file=20)
    write(opened(tmp_path / "out", rows_per_file=20, overwrite=True))
    assert sorted(path.name for path in (tmp_path / "out/img_emb").iterdir()) == ["img_emb_0.npy", "img_emb_1.npy"]


def test_an_export_that_is_to_be_replaced_stays_until_the_new_one_is_whole(tmp_path):
    write(opened(tmp_path / "out"))
    before = read_as_others_do(tmp_path / "out")
    other = opened(tmp_path / "out", rows_per_file=20, overwrite=True)
    other.write(0, LEFT[:20], RIGHT[:20], TABLE.slice(0, 20))
    for one, then in zip(read_as_others_do(tmp_path / "out")[:2], before[:2], strict=True):
        np.testing.assert_array_equal(one, then)
    again = opened(tmp_path / "out", rows_per_file=20, overwrite=True)
    assert again.missing() == [1], "and what a killed command has made of it is gone on with"
    write(again)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert len(list((tmp_path / "out/img_emb").iterdir())) == 2


def test_other_files_in_the_folder_are_never_deleted_nor_written_over(tmp_path):
    (tmp_path / "out/text_emb").mkdir(parents=True)
    (tmp_path / "out/thesis.tex").write_text("stays")
    write(opened(tmp_path / "out"))
    with pytest.raises(OutputError, match="holds what fusemix did not write there: thesis.tex"):
        opened(tmp_path / "out", rows_per_file=20, overwrite=True)
    assert (tmp_path / "out/thesis.tex").read_text() == "stays"
    (tmp_path / "file").write_text("stays")
    with pytest.raises(LatentStoreError, match="is a file, but out must name a folder"):
        opened(tmp_path / "file", overwrite=True)


def test_embeddings_that_another_tool_wrote_are_neither_discarded_nor_mixed_with_ours(tmp_path):
    write(opened(tmp_path / "theirs"))
    (tmp_path / "theirs/export.json").unlink()
    before = {path: path.read_bytes() for path in (tmp_path / "theirs").rglob("*") if path.is_file()}
    for overwrite in (False, True):
        with pytest.raises(OutputError, match="Choose another out"):
            opened(tmp_path / "theirs", overwrite=overwrite)
    assert {path: path.read_bytes() for path in (tmp_path / "theirs").rglob("*") if path.is_file()} == before


def test_metadata_name_the_path_or_where_there_is_none_the_id():
    pictures = pa.table({"id": ["p", "q"], "path": ["p.jpg", None]})
    texts = pa.table({"id": ["s", "t", "u"], "caption": ["x", "y", "z"]})
    table = metadata_table([("image", pictures), ("text", texts)], np.array([[1, 0], [0, 2]]))
    assert table.to_pydict() == {
        "image_path": ["q", "p.jpg"],
        "image_id": ["q", "p"],
        "caption": ["x", "z"],
        "text_id": ["s", "u"],
    }
    sounds = metadata_table([("audio", pa.table({"id": ["a"]})), ("text", texts)], np.array([[0, 1]]))
    assert sounds["audio_path"].to_pylist() == ["a"]


def test_sounds_have_a_folder_of_their_own(tmp_path):
    table = TABLE.rename_columns(["audio_path", "caption"]).append_column("audio_id", TABLE["image_path"])
    write(opened(tmp_path / "out", modalities=("audio", "text"), rows_per_file=25), table)
    assert (tmp_path / "out/audio_emb/audio_emb_0.npy").is_file()
    found = EmbeddingsFolder(tmp_path / "out")
    assert found.modality == "audio"
    assert found.is_ours


def foreign(folder: Path) -> Path:
    """What clip-retrieval itself writes: no ids, no record of ours."""
    write(opened(folder, rows_per_file=20))
    (folder / "export.json").unlink()
    return folder


def test_a_folder_that_cannot_be_joined_is_refused_with_what_is_wrong(tmp_path):
    folder = foreign(tmp_path / "out")
    assert not EmbeddingsFolder(folder).is_ours
    np.save(folder / "img_emb/img_emb_1.npy", LEFT[:4].astype(np.float16))
    with pytest.raises(LatentStoreError, match="img_emb has 24 rows in 2 files, but metadata has 25 in 2"):
        EmbeddingsFolder(folder)
    shutil.rmtree(folder / "img_emb")
    with pytest.raises(LatentStoreError, match="holds text_emb, but a latent set pairs text_emb with one other"):
        EmbeddingsFolder(folder)
    with pytest.raises(LatentStoreError, match="there is no folder"):
        EmbeddingsFolder(tmp_path / "gone")


def test_metadata_that_do_not_name_the_pictures_are_refused(tmp_path):
    folder = foreign(tmp_path / "out")
    pq.write_table(TABLE.slice(20).select(["caption"]), folder / "metadata/metadata_1.parquet")
    with pytest.raises(LatentStoreError, match=r"metadata_1.parquet has no column image_path; it cannot say what a"):
        EmbeddingsFolder(folder)
    shutil.rmtree(folder / "metadata")
    with pytest.raises(LatentStoreError, match=r"there is no .parquet file in .*metadata, which names the rows"):
        EmbeddingsFolder(folder)


def test_hidden_files_beside_embeddings_are_no_data(tmp_path):
    source = foreign(tmp_path / "theirs")
    for name in (
        "img_emb/._img_emb_0.npy",
        "metadata/._metadata_0.parquet",
        "text_emb/.DS_Store",
        "metadata/Thumbs.db",
    ):
        (source / name).write_bytes(b"\0\5\x16\7")
    found = EmbeddingsFolder(source)
    assert len(found.metadata) == len(found.vectors["image"]) == 25
    assert [path.name for path in found.vectors["text"].files] == ["text_emb_0.npy", "text_emb_1.npy"]


def test_parts_that_are_numbered_without_zeros_are_joined_by_their_numbers(tmp_path):
    write(opened(tmp_path / "theirs"))
    (tmp_path / "theirs/export.json").unlink()
    for path in (tmp_path / "theirs").glob("*/*"):
        path.rename(path.with_name(path.name.replace("_0", "_")))
    found = EmbeddingsFolder(tmp_path / "theirs")
    assert found.metadata["caption"].to_pylist() == TABLE["caption"].to_pylist()
    np.testing.assert_array_equal(found.vectors["image"].take(np.arange(25)), unit_rows(LEFT).astype(np.float32))


def test_parts_of_other_numbers_are_not_joined_though_they_are_as_many(tmp_path):
    source = foreign(tmp_path / "theirs")
    (source / "metadata/metadata_1.parquet").rename(source / "metadata/metadata_2.parquet")
    with pytest.raises(
        LatentStoreError, match=r"img_emb has 25 rows in 2 files, but metadata has 25 in 2, or .*numbered"
    ):
        EmbeddingsFolder(source)
