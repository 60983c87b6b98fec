"""Indexes of earlier versions are taken over as they are; tests/test_earlier_formats.py does so with real ones."""

import json

import faiss
import numpy as np
import pyarrow.parquet as pq
import pytest
from table_samples import DIM, MODEL, SOURCES, content, made_up

from fusemix.cli.called import run_command
from fusemix.errors import IndexFolderError, OutputError
from fusemix.search.description import read_description
from fusemix.search.folder import Index
from fusemix.search.precision import bytes_of, exponents_of, ranges_of


def segment(folder, name, rows, table, kind):
    """As versions 1 to 3 wrote it."""
    path = folder / "segments" / f"{name}.faiss"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path.with_suffix(".parquet"))
    index = faiss.index_factory(rows.shape[1], "SQ8" if kind == "SQ8" else "Flat", faiss.METRIC_INNER_PRODUCT)
    index.train(rows)
    index.add(rows)
    faiss.write_index(index, str(path))
    if kind == "halves":
        np.save(path.with_suffix(".npy"), rows.astype(np.float16))
    elif kind == "bytes":
        exponents = exponents_of(rows)
        np.save(path.with_suffix(".npy"), np.vstack([exponents.view(np.uint8), bytes_of(rows, ranges_of(exponents))]))
    probes = int(kind in ("halves", "bytes"))
    return {"counts": {"image": len(rows)}, "kind": kind, "probes": probes, "candidates": 0, "found": 1.0}


def earlier(folder, version, kinds):
    segments = []
    for number, kind in enumerate(kinds):
        name = f"{number:05}" if version == 1 else f"{number:016x}-00000000"
        about = segment(folder, name, *made_up(20, seed=number), kind)
        segments.append({**about, **({"number": number} if version == 1 else {"name": name, "files": {}})})
    data = {"format": "fusemix.index", "version": version, "model": {**MODEL, "name": "gone", "from_index": None}}
    data |= {"dim": DIM, "sources": SOURCES, "segments": segments}
    (folder / "index.json").write_text(json.dumps(data | ({"precision": "int8"} if version == 3 else {})))
    (folder / "quarantine.jsonl").write_text('{"id": "x"}\n')
    return folder


@pytest.mark.parametrize(("version", "kinds"), [(1, ["Flat", "halves"]), (2, ["Flat"]), (3, ["SQ8", "bytes", "Flat"])])
def test_vectors_items_and_their_order_stay(tmp_path, version, kinds, capsys):
    folder = earlier(tmp_path / "index", version, kinds)
    with pytest.raises(IndexFolderError, match=r"made by an earlier version.*fusemix upgrade-index .*index$"):
        Index(folder)
    run_command("upgrade_index", [str(folder)])
    vectors, ids = content(folder)
    assert ids == [f"{number}/{n}" for number in range(len(kinds)) for n in range(20)]
    wanted = np.concatenate([made_up(20, seed=number)[0] for number in range(len(kinds))])
    np.testing.assert_allclose(vectors, wanted, atol=0.02)
    assert (folder / "quarantine.jsonl").read_text() == '{"id": "x"}\n'
    assert not (folder / "segments").exists()
    assert read_description(folder).sources == SOURCES
    run_command("verify", [str(folder)])
    run_command("upgrade_index", [str(folder)])
    assert "is of this version already" in capsys.readouterr().out


def test_an_index_stays_as_it_is_where_it_cannot_be_taken_over(tmp_path):
    folder = earlier(tmp_path / "index", 2, ["Flat", "Flat"])
    last = sorted((folder / "segments").glob("*.faiss"))[-1]
    raw = last.read_bytes()
    last.write_bytes(raw[:50])
    with pytest.raises(IndexFolderError, match="is missing or damaged"):
        run_command("upgrade_index", [str(folder)])
    last.write_bytes(raw)
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"holds what fusemix did not write there: notes\.txt"):
        run_command("upgrade_index", [str(folder)])
    (folder / "notes.txt").unlink()
    run_command("upgrade_index", [str(folder)])
    assert Index(folder).num_items == 40


@pytest.mark.parametrize("name", ["../../mine", "/etc/passwd", ""])
def test_files_of_others_are_not_read(tmp_path, name):
    folder = earlier(tmp_path / "index", 2, ["Flat"])
    said = json.loads((folder / "index.json").read_text())
    said["segments"][0]["name"] = name
    (folder / "index.json").write_text(json.dumps(said))
    with pytest.raises(IndexFolderError, match=r"index\.json is damaged: no segment is called"):
        run_command("upgrade_index", [str(folder)])


def test_what_is_no_index_is_said(tmp_path):
    with pytest.raises(IndexFolderError, match="has no index.json, so it is no index"):
        run_command("upgrade_index", [str(tmp_path)])
