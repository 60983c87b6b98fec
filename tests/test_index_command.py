"""`fusemix index`, by real code on tiny real models."""

import json
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from index_samples import asked, content, make

import fusemix
from fusemix.errors import ConfigError, DatasetError, EncoderError, IndexFolderError, RunError
from fusemix.models.queries import Query
from fusemix.search.folder import Index
from fusemix.wiring.searching import index_plan, indexing
from fusemix.wiring.searching.searcher import Searcher


@pytest.fixture(scope="module")
def model(tiny) -> fusemix.Model:
    return fusemix.load(tiny.run, device="cpu")


# What is indexed


def test_the_files_of_a_folder_have_the_vectors_that_encode_gives(tiny, model, picture_index):
    found = content(picture_index)
    assert list(found) == [f"pictures/{path.name}" for path in tiny.files["image"]]
    np.testing.assert_allclose(np.stack(list(found.values())), model.encode(images=tiny.files["image"]), atol=1e-3)


def test_a_latent_set_is_indexed_without_its_encoders(tiny, model, tmp_path):
    out = make(tiny, tmp_path / "set", tiny.latents / "pictures" / "all")
    found = content(out)
    assert list(found) == [f"image_captions/all/image/{path.name}" for path in tiny.files["image"]]
    np.testing.assert_allclose(np.stack(list(found.values())), model.encode(images=tiny.files["image"]), atol=1e-3)
    (item,) = Index(out).items([0])
    assert item["captions"] == ["a red square"]
    assert item["path"].endswith("00.png")


def test_texts_of_a_set_are_indexed_where_they_are_asked_for(tiny, model, tmp_path):
    out = make(tiny, tmp_path / "texts", tiny.latents / "pictures" / "all", "--modality", "text")
    opened = Index(out)
    captions = [item["captions"][0] for item in opened.items(range(opened.num_items))]
    assert "one blue circle" in captions
    np.testing.assert_allclose(opened.vectors(range(opened.num_items)), model.encode(texts=captions), atol=1e-3)


def test_all_sets_below_a_folder_are_indexed(tiny, tmp_path):
    both = tmp_path / "latents"
    shutil.copytree(tiny.latents / "pictures" / "all", both / "a")
    shutil.copytree(tiny.latents / "sounds" / "all", both / "b")
    assert Index(make(tiny, tmp_path / "out", both)).counts == {"image": 36, "audio": 24}


def test_what_cannot_be_read_is_set_aside_counted_and_listed(tiny, tmp_path, capsys):
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, path in enumerate(tiny.files["image"][:5]):
        shutil.copy(path, folder / f"{number}.png")
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff no picture")
    (folder / "empty.png").write_bytes(b"")
    (folder / "notes.txt").write_text("x")
    out = make(tiny, tmp_path / "out", folder)
    assert Index(out).num_items == 5
    listed = [json.loads(line) for line in (out / "quarantine.jsonl").read_text().splitlines()]
    assert [(item["id"], item["stage"]) for item in listed] == [
        ("photos/broken.jpg", "decode"),
        ("photos/empty.png", "decode"),
    ]
    said = capsys.readouterr().out
    assert "7 image items, 7 new (passed over: 1 other files)" in said
    assert "set aside: 2, listed in" in said


def test_given_again_only_what_is_new_is_embedded(tiny, tmp_path, capsys):
    folder = tmp_path / "photos"
    folder.mkdir()
    for path in tiny.files["image"][:5]:
        shutil.copy(path, folder)
    out = make(tiny, tmp_path / "out", folder)
    before = content(out)
    assert make(tiny, out, folder) == out
    assert f"nothing new; {out} has 5 image items" in capsys.readouterr().out
    shutil.copy(tiny.files["image"][7], folder / "00a.png")
    make(tiny, out, folder)
    assert "6 image items, 1 new" in capsys.readouterr().out
    after = content(out)
    assert list(after) == [*before, "photos/00a.png"], "positions of before stay"
    for item, vector in before.items():
        np.testing.assert_allclose(after[item], vector, atol=1e-6)


def test_pictures_and_sounds_share_an_index(tiny, model, tmp_path):
    out = make(tiny, tmp_path / "both", tiny.files["image"][0].parent)
    make(tiny, out, tiny.files["audio"][0].parent)
    both = Searcher(out, device="cpu")
    assert both.index.counts == {"image": 36, "audio": 24}
    (hits,) = both.search(asked(both, [Query("audio", tiny.files["audio"][3])]), 60)
    assert hits[0].id == "sounds/03.wav"
    assert {hit.modality for hit in hits} == {"image", "audio"}
    assert both.content(hits[0].position).sample_rate == 22050


def test_a_killed_command_goes_on_where_it_stopped(tiny, tmp_path, programs):
    """Killed while the third part is being read, which hangs."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for path in tiny.files["image"]:
        shutil.copy(path, folder)
    whole = make(tiny, tmp_path / "whole", folder)
    out = tmp_path / "out"
    script = (
        "from fusemix.disk import regular; from fusemix.wiring.searching import indexing;"
        "from fusemix.cli.called import run_command;"
        "indexing.PART_ROWS = 10; opened = regular.open_regular;"
        "regular.open_regular = lambda path: __import__('time').sleep(600) if '25.png' in str(path) else opened(path);"
        f"run_command('index', ['--model', {str(tiny.run)!r}, '--data', {str(folder)!r}, '--out', {str(out)!r},"
        "'--compute.accelerator', 'cpu', '--num-workers', '0', '--batch-size', '10'])"
    )
    process = programs.start("-c", script)
    deadline = time.monotonic() + 120
    while not (out / "items.lance").is_dir() or len(list(out.glob("items.lance/data/*.lance"))) < 2:
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.05)
    process.kill()
    process.wait()
    embedded = []
    real = index_plan.Embedder.embed_items

    def counted(self, items, parts, **settings):
        embedded.extend(parts)
        return real(self, items, parts, **settings)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(indexing, "PART_ROWS", 10)
        patch.setattr(index_plan.Embedder, "embed_items", counted)
        make(tiny, out, folder)
    assert list(map(len, embedded)) == [10, 6], "two parts of three were kept"
    one, other = content(out), content(whole)
    assert list(one) == list(other)
    np.testing.assert_allclose(np.stack(list(one.values())), np.stack(list(other.values())), atol=1e-3)
    assert sorted(path.name for path in out.iterdir()) == [
        "index.json",
        "items.lance",
        "quarantine.jsonl",
        "seals.json",
    ]


# What is refused


def test_an_index_is_never_mixed_with_another_model(tiny, picture_index, tmp_path, make_set):
    other = tmp_path / "run"
    shutil.copytree(tiny.run, other)
    shutil.copy(other / "checkpoints" / "last.ckpt", other / "checkpoints" / "best.ckpt")
    (other / "hubs.safetensors").unlink()  # of the best epoch
    if content_of(other) == content_of(tiny.run):
        pytest.skip("the last epoch was the best")
    with pytest.raises(RunError, match="was made with another model than .*Vectors of different adapters"):
        make(tiny._replace(run=other), picture_index, tiny.files["image"][0].parent)
    with pytest.raises(RunError, match="was made with another model than"):
        Searcher(picture_index, model=other, device="cpu")


def content_of(run: Path):
    return (run / "checkpoints" / "best.ckpt").read_bytes()


def test_a_model_that_is_gone_is_named_and_may_be_given(tiny, picture_index, tmp_path):
    out = tmp_path / "index"
    shutil.copytree(picture_index, out)
    said = json.loads((out / "index.json").read_text())
    said["model"] = {**said["model"], "name": "/nowhere/run", "from_index": "../nowhere"}
    (out / "index.json").write_text(json.dumps(said))
    with pytest.raises(RunError, match="was made with /nowhere/run, which is gone. Say where it is now: --model"):
        Searcher(out, device="cpu")
    assert Searcher(out, model=tiny.run, device="cpu").index.num_items == 36


def test_an_index_and_its_run_can_be_moved_together(tiny, tmp_path):
    shutil.copytree(tiny.run, tmp_path / "here" / "run")
    make(tiny._replace(run=tmp_path / "here" / "run"), tmp_path / "here" / "index", tiny.files["image"][0].parent)
    (tmp_path / "here").rename(tmp_path / "there")
    assert Searcher(tmp_path / "there" / "index", device="cpu").embedder.trained.folder == tmp_path / "there" / "run"


@pytest.mark.parametrize(
    ("data", "options", "error", "message"),
    [
        ("nowhere", [], DatasetError, "there is no folder .*nowhere"),
        ("empty", [], DatasetError, r"holds no pictures and no sounds \(1 other files\)"),
        ("mixed", [], ConfigError, "mixed holds image and audio. Choose one: --modality image"),
        ("pictures", ["--modality", "audio"], ConfigError, "holds no audio, but: image"),
        ("pictures", ["--modality", "video"], RunError, "knows nothing of 'video'"),
        ("broken", [], EncoderError, "none of 1 items could be embedded: broken/a.png: "),
    ],
)
def test_data_that_cannot_be_indexed_are_named(tiny, tmp_path, data, options, error, message):
    for name in ("empty", "mixed", "pictures", "broken"):
        (tmp_path / name).mkdir()
    (tmp_path / "empty" / "a.txt").write_text("x")
    (tmp_path / "broken" / "a.png").write_text("x")
    shutil.copy(tiny.files["image"][0], tmp_path / "mixed")
    shutil.copy(tiny.files["audio"][0], tmp_path / "mixed")
    shutil.copy(tiny.files["image"][0], tmp_path / "pictures")
    with pytest.raises(error, match=message):
        make(tiny, tmp_path / "out", tmp_path / data, *options)


def test_two_folders_of_one_name_do_not_collide_in_silence(tiny, tmp_path):
    for parent in ("a", "b"):
        (tmp_path / parent / "photos").mkdir(parents=True)
        shutil.copy(tiny.files["image"][0], tmp_path / parent / "photos")
    out = make(tiny, tmp_path / "out", tmp_path / "a" / "photos")
    with pytest.raises(ConfigError, match=r"holds items of .*a/photos, whose ids begin with 'photos/', too"):
        make(tiny, out, tmp_path / "b" / "photos")


def test_another_folder_is_left_alone(tiny, tmp_path):
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "a.txt").write_text("dear")
    for options in ([], ["--overwrite"]):
        with pytest.raises(IndexFolderError, match="letters holds something else than an index. Choose another out"):
            make(tiny, tmp_path / "letters", tiny.files["image"][0].parent, *options)
    assert (tmp_path / "letters" / "a.txt").read_text() == "dear"
