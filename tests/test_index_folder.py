"""`fusemix index` and what lies in and around its folder: nothing of anybody else's is deleted, taken or waited for."""

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


def test_what_a_killed_command_has_added_is_not_embedded_again(tiny, tmp_path, monkeypatch):
    folder = photos(tmp_path / "photos", tiny.files["image"][:7])
    kill(tiny, tmp_path / "out", folder, monkeypatch)
    shutil.copy(tiny.files["image"][21], folder / "00.png")
    with embedding_counted(monkeypatch) as counts:
        make(tiny, tmp_path / "out", folder)
    assert counts == [1]
    assert list(content(tmp_path / "out")) == [f"photos/{name}.png" for name in (*"0123456", "00")]
    right = content(make(tiny, tmp_path / "right", folder))
    for item, vector in content(tmp_path / "out").items():
        np.testing.assert_allclose(vector, right[item], atol=1e-6)


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
    for name in ("notes.txt", "items.lance/Thumbs.db", "items.lance/a.parquet", "parts/a.parquet"):
        (out / name).write_text("mine")
    shutil.copy(tiny.files["image"][9], folder / "x.png")
    kill(tiny, out, folder, monkeypatch)
    make(tiny, out, folder)
    before = everything(out)
    with pytest.raises(OutputError, match=r"holds what fusemix did not write there: notes\.txt"):
        make(tiny, out, folder, "--overwrite")
    assert everything(out) == before
    for name in ("notes.txt", "items.lance/a.parquet", "parts/a.parquet"):
        (out / name).unlink()
    kill(tiny, out, folder, monkeypatch, "--overwrite")
    make(tiny, out, folder, "--overwrite")
    run_command("verify", [str(out)])
    assert not {name for name, raw in everything(out).items() if raw == b"mine"}, "what systems leave may go"
    assert {name.partition("/")[0] for name in everything(out)} == {
        *("index.json", "items.lance", "quarantine.jsonl", "seals.json"),
    }
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "photos"]


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
    assert everything(out) == before
