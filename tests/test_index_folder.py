"""`fusemix index` and what lies in and around its folder: nothing of anybody else's is deleted, taken or waited for."""

import os
import shutil
from contextlib import contextmanager

import numpy as np
import pytest
from index_samples import content, make, photos

from fusemix.cli.called import run_command
from fusemix.errors import (
    ConfigError,
    DatasetError,
    EncoderError,
    IndexFolderError,
    OutputError,
    RunError,
)
from fusemix.search.folder import Index
from fusemix.wiring.searching import index_plan, indexing


def everything(folder):
    """Path -> content of all files."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@contextmanager
def embedding_counted(monkeypatch, killed=False):
    """How many items are embedded; and a writer that dies when all are."""
    counts, embed_items = [], index_plan.Embedder.embed_items

    def counted(self, items, parts, **settings):
        counts.append(sum(map(len, parts)))
        return embed_items(self, items, parts, **settings)

    def die(self, *arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(index_plan.Embedder, "embed_items", counted)
        patch.setattr(indexing, "PART_ROWS", 3)
        if killed:
            patch.setattr(indexing.IndexWriter, "finish", die)
        yield counts


def kill(tiny, out, data, monkeypatch, *options):
    with embedding_counted(monkeypatch, killed=True), pytest.raises(KeyboardInterrupt):
        make(tiny, out, data, *options)


def vectors(out):
    return np.stack(list(content(out).values()))


# What was done so far


def test_parts_of_a_killed_command_are_not_given_to_files_of_another_folder(tiny, tmp_path, monkeypatch):
    a, b = (photos(tmp_path / name / "photos", tiny.files["image"][at : at + 7]) for name, at in (("a", 0), ("b", 7)))
    kill(tiny, tmp_path / "out", a, monkeypatch)
    with embedding_counted(monkeypatch) as counts:
        make(tiny, tmp_path / "out", b)
    assert counts == [7]
    np.testing.assert_allclose(vectors(tmp_path / "out"), vectors(make(tiny, tmp_path / "right", b)), atol=1e-6)


def test_of_a_killed_command_only_what_changed_and_what_came_is_embedded_again(tiny, tmp_path, monkeypatch):
    folder = photos(tmp_path / "photos", tiny.files["image"][:7])
    kill(tiny, tmp_path / "out", folder, monkeypatch)
    status = (folder / "2.png").stat()
    raw = bytearray(tiny.files["image"][20].read_bytes())
    (folder / "2.png").write_bytes(raw + bytes(max(0, status.st_size - len(raw))))
    os.utime(folder / "2.png", ns=(status.st_atime_ns, status.st_mtime_ns))
    shutil.copy(tiny.files["image"][21], folder / "00.png")
    with embedding_counted(monkeypatch) as counts:
        make(tiny, tmp_path / "out", folder)
    assert counts == [2]
    assert list(content(tmp_path / "out")) == [f"photos/{name}.png" for name in ("0", "00", *"123456")]
    np.testing.assert_allclose(vectors(tmp_path / "out"), vectors(make(tiny, tmp_path / "right", folder)), atol=1e-6)
    assert not (tmp_path / "out" / "parts").exists()


def test_files_that_changed_places_are_embedded_again(tiny, tmp_path, monkeypatch):
    """Of equal size and time, as copies out of an archive may be."""
    folder = photos(tmp_path / "photos", tiny.files["image"][:4])
    for path in folder.iterdir():
        path.write_bytes(path.read_bytes().ljust(5000))
        os.utime(path, ns=(10**18, 10**18))
    kill(tiny, tmp_path / "out", folder, monkeypatch)
    for old, new in (("0", "x"), ("1", "0"), ("x", "1")):
        (folder / f"{old}.png").rename(folder / f"{new}.png")
    make(tiny, tmp_path / "out", folder)
    np.testing.assert_allclose(vectors(tmp_path / "out"), vectors(make(tiny, tmp_path / "right", folder)), atol=1e-6)


def test_a_part_that_is_damaged_or_of_somebody_else_is_not_taken(tiny, tmp_path, monkeypatch):
    folder = photos(tmp_path / "photos", tiny.files["image"][:9])
    kill(tiny, tmp_path / "out", folder, monkeypatch)
    cut, changed, _ = sorted((tmp_path / "out" / "parts").glob("*/*.parquet"))
    cut.write_bytes(cut.read_bytes()[:100])
    raw = bytearray(changed.read_bytes())
    raw[len(raw) // 3] ^= 1
    changed.write_bytes(raw)
    mine = cut.with_name("mine.parquet")
    mine.write_bytes(b"mine")
    with embedding_counted(monkeypatch) as counts:
        make(tiny, tmp_path / "out", folder)
    assert counts == [6]
    assert everything(tmp_path / "out" / "parts") == {f"{mine.parent.name}/mine.parquet": b"mine"}
    np.testing.assert_allclose(vectors(tmp_path / "out"), vectors(make(tiny, tmp_path / "right", folder)), atol=1e-6)


# A folder that is not ours


def foreign_folder(folder, kind):
    (folder / "parts").mkdir(parents=True)
    (folder / "parts" / "notes.txt").write_text("mine")
    if kind == "site":
        (folder / "index.json").write_text('{"pages": []}')
    elif kind == "other version":
        (folder / "index.json").write_text('{"format": "fusemix.index", "version": 99}')
    elif kind == "broken":
        (folder / "index.json").write_text("{")
    return folder


@pytest.mark.parametrize("options", [[], ["--overwrite"]])
@pytest.mark.parametrize("kind", ["parts", "site", "other version", "broken"])
def test_a_folder_of_somebody_else_is_refused_before_anything_is_opened(tmp_path, kind, options, monkeypatch):
    out = foreign_folder(tmp_path / "out", kind)
    before = everything(tmp_path)
    monkeypatch.setattr(index_plan, "Embedder", None)  # nothing can be opened
    settings = ["--model", "nowhere", "--data", "nowhere", "--out", str(out), *options]
    with pytest.raises(IndexFolderError, match="Choose another (out|folder)"):
        index_plan.indexing_of(indexing_config(settings))
    assert everything(tmp_path) == before


def indexing_config(settings):
    from fusemix.cli.loading import load_config
    from fusemix.config import IndexConfig

    return load_config(IndexConfig, settings)


def test_what_lies_beside_our_files_is_left_whatever_is_done(tiny, tmp_path, monkeypatch):
    folder = photos(tmp_path / "photos", tiny.files["image"][:4])
    out = tmp_path / "out"
    out.mkdir()
    (out / ".DS_Store").write_text("mine")  # what systems leave in an empty folder
    make(tiny, out, folder)
    (out / "parts").mkdir()
    for name in ("notes.txt", "segments/Thumbs.db", "segments/00000.faiss", "segments/a.parquet", "parts/a.parquet"):
        (out / name).write_text("mine")
    shutil.copy(tiny.files["image"][9], folder / "x.png")
    kill(tiny, out, folder, monkeypatch)
    make(tiny, out, folder)
    before = everything(out)
    with pytest.raises(OutputError, match=r"holds what fusemix did not write there: notes\.txt"):
        make(tiny, out, folder, "--overwrite")
    assert everything(out) == before
    for name in ("notes.txt", "segments/a.parquet", "parts/a.parquet"):
        (out / name).unlink()
    kill(tiny, out, folder, monkeypatch, "--overwrite")
    make(tiny, out, folder, "--overwrite")
    run_command("verify", [str(out)])
    assert {name for name, raw in everything(out).items() if raw == b"mine"} == {
        *(".DS_Store", "segments/Thumbs.db", "segments/00000.faiss"),
    }
    (segment,) = Index(out).description.segments
    ours = {name for name, raw in everything(out).items() if raw != b"mine"}
    files = {f"segments/{segment.name}{suffix}" for suffix in (".faiss", ".parquet")}
    assert ours == {"index.json", "quarantine.jsonl", *files}


# An index that makes room for another


def test_until_the_new_index_is_whole_the_old_one_stays(tiny, tmp_path, monkeypatch):
    folder = photos(tmp_path / "photos", tiny.files["image"][:4])
    out = make(tiny, tmp_path / "out", folder)
    before, sealed = content(out), (out / "index.json").read_bytes()
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.png").write_bytes(b"no picture")

    def require_as_before() -> None:
        assert (out / "index.json").read_bytes() == sealed
        np.testing.assert_array_equal(np.stack(list(content(out).values())), np.stack(list(before.values())))

    for error, run, data, options in [
        (RunError, tiny._replace(run=tmp_path / "nowhere"), folder, []),
        (DatasetError, tiny, tmp_path / "nowhere", []),
        (ConfigError, tiny, folder, ["--modality", "audio"]),
        (EncoderError, tiny, tmp_path / "bad", []),
    ]:
        with pytest.raises(error):
            make(run, out, data, "--overwrite", *options)
        require_as_before()
    kill(tiny, out, folder, monkeypatch, "--overwrite")
    require_as_before()
    make(tiny, out, folder, "--overwrite")
    assert list(content(out)) == list(before)


def test_an_overwrite_that_was_killed_goes_on_and_makes_nothing_of_before_count(tiny, tmp_path, monkeypatch):
    a, b = (photos(tmp_path / name, tiny.files["image"][at : at + 5]) for name, at in (("a", 0), ("b", 5)))
    out = make(tiny, tmp_path / "out", a)
    kill(tiny, out, b, monkeypatch)  # added to
    kill(tiny, out, b, monkeypatch, "--overwrite")
    with embedding_counted(monkeypatch) as counts:
        make(tiny, out, b, "--overwrite")
    assert counts == [0]
    assert list(content(out)) == [f"b/{number}.png" for number in range(5)]
    assert not (out / "parts").exists()
    with embedding_counted(monkeypatch) as counts:
        make(tiny, out, b, "--overwrite")
    assert counts == [5]


def test_nothing_is_overwritten_through_a_link(tiny, tmp_path):
    folder = photos(tmp_path / "photos", tiny.files["image"][:2])
    out = make(tiny, tmp_path / "out", folder)
    (tmp_path / "link").symlink_to(out)
    before = everything(out)
    with pytest.raises(OutputError, match="link is a symbolic link, and nothing is deleted through one"):
        make(tiny, tmp_path / "link", folder, "--overwrite")
    (tmp_path / "elsewhere").mkdir()
    (out / "parts").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputError, match="holds what fusemix did not write there: parts"):
        make(tiny, out, folder, "--overwrite")
    shutil.copy(tiny.files["image"][5], folder / "x.png")
    with pytest.raises(IndexFolderError, match="parts is a symbolic link, and nothing is written or deleted through"):
        make(tiny, out, folder)
    assert everything(out) == before
