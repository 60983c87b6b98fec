"""`fusemix export-index`: what another engine gets is what the index holds."""

import json
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from index_samples import content

from fusemix.cli.called import run_command
from fusemix.errors import ConfigError, OutputError
from fusemix.search.folder import Index


def export(index, to, out, *options):
    run_command("export_index", ["--index", str(index), "--to", to, "--out", str(out), *options])


def test_parquet_holds_all_items_and_unit_vectors_of_the_models_width(picture_index, tmp_path, monkeypatch):
    monkeypatch.setattr("fusemix.search.handing_over.ROWS_IN_FILE", 10)
    export(picture_index, "parquet", tmp_path / "out")
    files = sorted((tmp_path / "out").glob("part-*.parquet"))
    assert len(files) == 4
    table = pa.concat_tables(map(pq.read_table, files))
    wanted = content(picture_index)
    assert table["id"].to_pylist() == list(wanted)
    found = np.stack(table["vector"].to_numpy(zero_copy_only=False))
    np.testing.assert_allclose(found, np.stack(list(wanted.values())), atol=1e-6)
    assert [Index(picture_index).find(item) for item in table["id"].to_pylist()] == table["position"].to_pylist()
    said = json.loads((tmp_path / "out" / "export.json").read_text())
    assert (said["dim"], said["num_items"], said["counts"]) == (found.shape[1], 36, {"image": 36})


def test_a_folder_is_written_over_only_where_that_is_said_and_it_is_ours(picture_index, tmp_path):
    out = tmp_path / "out"
    export(picture_index, "parquet", out)
    with pytest.raises(OutputError, match="holds something already"):
        export(picture_index, "parquet", out)
    export(picture_index, "parquet", out, "--overwrite")
    (out / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"did not write there: notes\.txt"):
        export(picture_index, "parquet", out, "--overwrite")
    assert (out / "notes.txt").read_text() == "mine"


def test_a_collection_of_qdrant_finds_what_the_index_finds(picture_index, tmp_path):
    qdrant_client = pytest.importorskip("qdrant_client")
    export(picture_index, "qdrant", tmp_path / "qdrant", "--collection", "pictures")
    with pytest.raises(OutputError, match="there is a collection 'pictures' already"):
        export(picture_index, "qdrant", tmp_path / "qdrant", "--collection", "pictures")
    export(picture_index, "qdrant", tmp_path / "qdrant", "--collection", "pictures", "--overwrite")
    client, wanted = qdrant_client.QdrantClient(path=str(tmp_path / "qdrant")), content(picture_index)
    vectors, ids = np.stack(list(wanted.values())), list(wanted)
    for row in (0, 7):
        hits = client.query_points("pictures", query=vectors[row].tolist(), limit=5).points
        scores = vectors @ vectors[row]
        np.testing.assert_allclose([hit.score for hit in hits], np.sort(scores)[::-1][:5], atol=1e-5)
        assert hits[0].payload["id"] == ids[row]
    client.close()


def test_a_server_that_is_not_there_is_one_message(picture_index):
    pytest.importorskip("qdrant_client")
    with pytest.raises(OutputError, match=r"http://127\.0\.0\.1:9 does not take the items"):
        export(picture_index, "qdrant", "http://127.0.0.1:9")


def test_what_is_missing_or_does_not_belong_is_one_message(picture_index, tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match="collection is for to=qdrant"):
        export(picture_index, "parquet", tmp_path / "out", "--collection", "x")
    monkeypatch.setitem(sys.modules, "qdrant_client", None)
    with pytest.raises(ConfigError, match=r"to=qdrant needs the package qdrant_client\. Install it with"):
        export(picture_index, "qdrant", tmp_path / "out")
