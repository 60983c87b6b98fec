"""Export and import as commands: what goes out in clip-retrieval's layout comes back as the same rows."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from latent_samples import pair_set, write_store

from fusemix.cli.called import run_command
from fusemix.disk.files import sha256_of_file
from fusemix.errors import ConfigError, LatentStoreError, RunError
from fusemix.latents.set_writer import write_set
from fusemix.latents.sets import LatentSet
from fusemix.latents.store import LatentStore

BOTH = {"image": ["eyes"], "text": ["words"]}


def exported(latents: Path, out: Path, *changes: str) -> Path:
    return run_command(
        "export_embeddings", [f"latents={latents}", f"out={out}", "encoders={image: [eyes], text: [words]}", *changes]
    )


def imported(source: Path, out: Path, *changes: str) -> Path:
    run_command("import", [f"clip_retrieval={source}", f"out={out}", "dataset=back", "split=train", *changes])
    return out / "train"


def vectors_with_ids(folder: Path, ids: list[str], dim: int = 6, seed: int = 0) -> list[str]:
    """Arguments of an import: random vectors of the ids, in another order."""
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(ids))
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "v.npy", generator.standard_normal((len(ids), dim)).astype(np.float32)[order])
    (folder / "ids.txt").write_text("".join(f"{ids[place]}\n" for place in order))
    return [f"vectors={folder / 'v.npy'}", f"ids={folder / 'ids.txt'}", "modality=image", "name=mine"]


def unit(rows: np.ndarray) -> np.ndarray:
    rows = rows.astype(np.float64)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_export_and_import_give_back_the_same_rows_for_the_same_links(make_set, tmp_path, capsys):
    first = LatentSet(make_set(num_left=30, captions=3), BOTH)
    exported(first.folder, tmp_path / "out", "rows_per_file=8")
    assert "exported made_up/train: 90 rows in 12 files a folder" in capsys.readouterr().out
    second = LatentSet(imported(tmp_path / "out", tmp_path / "back"), {"image": ["imported"], "text": ["imported"]})
    for before, after in zip(first.sides, second.sides, strict=True):
        rows = np.arange(len(before.table))
        np.testing.assert_allclose(after.take(rows), unit(before.take(rows)), atol=5e-4)
        assert after.valid.all()
    assert second.left.table["id"].to_pylist() == first.left.table["id"].to_pylist()
    assert second.right.table["caption"].to_pylist() == first.right.table["caption"].to_pylist()
    np.testing.assert_array_equal(second.links, first.links)
    assert "60 rows repeat an item with the same vector" in capsys.readouterr().out


def test_the_same_export_again_writes_nothing_and_another_is_refused(make_set, tmp_path, capsys):
    folder = make_set(num_left=30)
    exported(folder, tmp_path / "out")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.npy")}
    exported(folder, tmp_path / "out")
    assert "(no new)" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in before} == before
    with pytest.raises(LatentStoreError, match=r"(?s)made by something else:.*rows_per_file: on disk 100000, now 7"):
        exported(folder, tmp_path / "out", "rows_per_file=7")
    exported(folder, tmp_path / "out", "rows_per_file=7", "overwrite=true")


def test_pairs_without_a_latent_are_not_exported(tmp_path):
    from fusemix.interfaces import Rejected

    pairs = pair_set(np.column_stack([np.arange(10), np.arange(10)]))
    write_set(tmp_path / "set", pairs, {"name": "a:b", "options": {}})
    latents = np.random.default_rng(0).standard_normal((10, 3)).astype(np.float32)
    write_store(tmp_path / "set", pairs.left, "eyes", latents, [Rejected("picture-4", "decode", "broken")])
    write_store(tmp_path / "set", pairs.right, "words", latents)
    exported(tmp_path / "set", tmp_path / "out")
    table = pq.read_table(tmp_path / "out/metadata/metadata_0.parquet")
    assert table["image_id"].to_pylist() == [f"picture-{i}" for i in range(10) if i != 4]
    assert np.isfinite(np.load(tmp_path / "out/img_emb/img_emb_0.npy")).all()


def training(latents: Path, out: Path, encoders: str, *changes: str) -> list[str]:
    quick = ["adapter.options={num_blocks: 1}", "optim={batch_size: 16, max_epochs: 1}", "compute.accelerator=cpu"]
    return [f"train={latents}", f"out={out}", f"encoders={encoders}", "embedding_dim=8", *quick, *changes]


@pytest.fixture
def run(make_set, tmp_path):
    """A run on the set `train`."""
    folder = make_set()
    run_command("train", training(folder, tmp_path / "run", "{image: [eyes], text: [words]}", "holdout=0.2"))
    return tmp_path / "run"


def test_a_run_is_exported_as_its_adapters_embeddings(run, tmp_path):
    from fusemix.fusion.checkpoints import read_checkpoint, trained_model

    latent_set = LatentSet(tmp_path / "train", BOTH)
    run_command("export_embeddings", [f"latents={tmp_path / 'train'}", f"model={run}", f"out={tmp_path / 'out'}"])
    model = trained_model(read_checkpoint(run / "checkpoints/best.ckpt"))
    import torch

    for name, side, rows in zip(("img", "text"), latent_set.sides, latent_set.links.T, strict=True):
        found = np.load(tmp_path / f"out/{name}_emb/{name}_emb_0.npy")
        assert found.shape == (256, 8)
        with torch.inference_mode():
            wanted = model.embed(side.modality, torch.from_numpy(side.take(rows)))
        np.testing.assert_allclose(found, wanted.numpy(), atol=1e-3)


def test_a_run_that_other_encoders_made_the_latents_of_is_refused(run, make_set, tmp_path):
    other = make_set("other", num_left=8)
    manifest = other / "image/eyes/manifest.json"
    manifest.write_text(manifest.read_text().replace('"family": "eyes"', '"family": "ears"'))
    with pytest.raises(RunError, match="its image latents were not made like those that the model is trained on"):
        run_command("export_embeddings", [f"latents={other}", f"model={run}", f"out={tmp_path / 'out'}"])


def test_an_export_writes_latents_or_a_run_and_never_both(tmp_path):
    for given in ([], ["model=r", "encoders.image=[a]"]):
        with pytest.raises(ConfigError, match=r"give either encoders=\{image: \[a\], text: \[b\]\} or model=RUN"):
            run_command("export_embeddings", [f"latents={tmp_path}", f"out={tmp_path}", *given])
    with pytest.raises(ConfigError, match="rows_per_file is 0, but must lie between 1 and"):
        run_command("export_embeddings", [f"latents={tmp_path}", f"out={tmp_path}", "model=r", "rows_per_file=0"])


def test_vectors_find_their_items_by_id_and_what_does_not_fit_is_told(make_set, tmp_path, capsys):
    folder = make_set(num_left=40)
    ids = [f"picture-{i}" for i in range(38)] + ["stranger"]
    given = vectors_with_ids(tmp_path / "mine", ids)
    run_command("import", [f"latents={folder}", *given, "made_by={model: m, revision: r}"])
    text = capsys.readouterr().out
    assert "image/mine: 40 × 6 float16" in text
    assert "1 ids are no items of the set, such as stranger" in text
    assert "2 items set aside, such as picture-38: there is no vector for it" in text
    assert "made_by is not set" not in text
    store = LatentStore(folder / "image/mine")
    vectors = np.load(tmp_path / "mine/v.npy")
    row_of = {item: row for row, item in enumerate((tmp_path / "mine/ids.txt").read_text().split())}
    wanted = vectors[[row_of[f"picture-{i}"] for i in range(38)]]
    np.testing.assert_array_equal(store.take(np.arange(38)), wanted.astype(np.float16))
    assert store.manifest.fingerprint["encoder"] == {"family": "imported", "made_by": {"model": "m", "revision": "r"}}
    sources = {"latents": sha256_of_file(tmp_path / "mine/v.npy"), "ids": sha256_of_file(tmp_path / "mine/ids.txt")}
    assert store.manifest.fingerprint["source_sha256"] == sources
    run_command("import", [f"latents={folder}", *given, "made_by={model: m, revision: r}"])
    assert "(no new)" in capsys.readouterr().out


def test_files_are_imported_in_the_order_of_their_numbers_which_is_shown(make_set, tmp_path, capsys):
    folder = make_set(num_left=23)
    (tmp_path / "ids.txt").write_text("".join(f"picture-{number}\n" for number in range(23)))
    (tmp_path / "parts").mkdir()
    for number in range(23):
        np.save(tmp_path / "parts" / f"{number}.npy", np.full((1, 4), number, np.float32))
    given = [f"vectors={tmp_path / 'parts'}", f"ids={tmp_path / 'ids.txt'}", "name=other", "made_by=me"]
    run_command("import", [f"latents={folder}", "modality=image", *given])
    assert LatentStore(folder / "image/other").take(np.arange(23))[:, 0].tolist() == list(range(23))
    assert "23 files in this order: 0.npy, 1.npy, 2.npy, …, 22.npy" in capsys.readouterr().out


def test_latents_from_other_files_under_an_old_name_are_refused_until_they_may_overwrite(make_set, tmp_path, capsys):
    folder, ids = make_set(num_left=40), [f"picture-{i}" for i in range(40)]
    run_command("import", [f"latents={folder}", *vectors_with_ids(tmp_path / "a", ids)])
    assert "made_by is not set: only the width tells these latents from those" in capsys.readouterr().out
    other = vectors_with_ids(tmp_path / "b", ids, seed=1)
    with pytest.raises(LatentStoreError, match=r"(?s)was made by something else:.*source_sha256.latents: on disk"):
        run_command("import", [f"latents={folder}", *other])
    run_command("import", [f"latents={folder}", *other, "overwrite=true"])


def test_training_accepts_an_imported_store_beside_a_cached_one_on_both_sets(make_set, tmp_path):
    folders = [make_set("train"), make_set("validation", num_left=32, seed=1)]
    given = vectors_with_ids(tmp_path / "mine", [f"picture-{i}" for i in range(128)])
    for folder in folders:  # one file may serve several sets
        run_command("import", [f"latents={folder}", *given, "made_by=a model"])
    encoders = "{image: [eyes, mine], text: [words]}"
    run_command("train", training(folders[0], tmp_path / "run", encoders, f"validation={folders[1]}"))
    record = (tmp_path / "run/config.yaml").read_text()
    assert "mine" in record
    assert (tmp_path / "run/checkpoints/best.ckpt").is_file()


def test_training_accepts_a_set_that_was_made_from_another_tools_folder(make_set, tmp_path):
    exported(make_set(), tmp_path / "out")
    folder = imported(tmp_path / "out", tmp_path / "back", "name=clip", "made_by=a model")
    run_command("train", training(folder, tmp_path / "run", "{image: [clip], text: [clip]}", "holdout=0.2"))
    assert (tmp_path / "run/checkpoints/best.ckpt").is_file()


def test_what_an_import_into_a_set_lacks_is_named(make_set, tmp_path):
    folder = make_set(num_left=40)
    given = vectors_with_ids(tmp_path / "mine", [f"picture-{i}" for i in range(40)])
    with pytest.raises(LatentStoreError, match=r"has no set.json, so it is no latent set. To make one, use clip_retr"):
        run_command("import", [f"latents={tmp_path}", *given])
    with pytest.raises(ConfigError, match=r"modality is 'audio', but .* pairs image with text"):
        run_command("import", [f"latents={folder}", *given, "modality=audio"])
    with pytest.raises(ConfigError, match="name=a/b: a name becomes a folder"):
        run_command("import", [f"latents={folder}", *given, "name=a/b"])
    (tmp_path / "short.txt").write_text("picture-0\n")
    with pytest.raises(LatentStoreError, match=r"short.txt has 1 ids, but .*v.npy has 40 rows"):
        run_command("import", [f"latents={folder}", *given, f"ids={tmp_path / 'short.txt'}"])
    (tmp_path / "numbers.json").write_text(json.dumps(list(range(40))))
    with pytest.raises(
        LatentStoreError, match=r"none of its 40 ids is the id of any image item.*Ids here: 0, 1, 2, …; ids there: p"
    ):
        run_command("import", [f"latents={folder}", *given, f"ids={tmp_path / 'numbers.json'}"])
    assert not (folder / "image/mine").exists()


def test_a_file_for_another_split_is_stopped_by_the_share_of_items_without_vector(make_set, tmp_path):
    folder = make_set(num_left=40)
    given = vectors_with_ids(tmp_path / "mine", ["picture-1", "elsewhere"])
    with pytest.raises(LatentStoreError, match=r"(?s)39 of 40 items so far could not be used.*max_bad_fraction=0.1"):
        run_command("import", [f"latents={folder}", *given])
    run_command("import", [f"latents={folder}", *given, "max_bad_fraction=1"])


def test_one_road_must_be_given_in_full():
    for given in (
        [],
        ["latents=a", "modality=image", "vectors=b"],
        ["latents=a", "clip_retrieval=b", "out=c", "dataset=d"],
    ):
        with pytest.raises(ConfigError, match="give either latents, modality, vectors and ids, or clip_retrieval, out"):
            run_command("import", given)
    whole = ["clip_retrieval=b", "out=c", "dataset=d", "split=e"]
    with pytest.raises(ConfigError, match="max_bad_fraction is 2.0, but must lie between 0.0 and 1.0"):
        run_command("import", [*whole, "max_bad_fraction=2"])


def test_each_split_may_be_imported_from_files_of_its_own(make_set, tmp_path):
    folders = [make_set("train"), make_set("validation", num_left=32, seed=1)]
    for seed, folder in enumerate(folders):
        ids = [f"picture-{i}" for i in range(128 if seed == 0 else 32)]
        given = vectors_with_ids(tmp_path / str(seed), ids, seed=seed)
        run_command("import", [f"latents={folder}", *given, "made_by=a model"])
    encoders = "{image: [eyes, mine], text: [words]}"
    run_command("train", training(folders[0], tmp_path / "run", encoders, f"validation={folders[1]}"))
    run_command("import", [f"latents={folders[1]}", *given, "made_by=another model", "overwrite=true"])
    with pytest.raises(RunError, match="made_by: on disk 'another model', now 'a model'"):
        run_command("train", training(folders[0], tmp_path / "run2", encoders, f"validation={folders[1]}"))
