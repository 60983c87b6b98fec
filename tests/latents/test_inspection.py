import json

import numpy as np
import pytest
from latent_samples import pair_set, write_store

from fusemix.cli.called import run_command
from fusemix.errors import ConfigError, LatentStoreError
from fusemix.interfaces import Rejected
from fusemix.latents.inspection import SAMPLE_ROWS, norms_of, reasons, store_facts
from fusemix.latents.item_tables import items_sha256
from fusemix.latents.set_writer import write_set
from fusemix.latents.writer import StoreWriter

LINKS = np.column_stack([np.arange(40), np.arange(40)])


@pytest.fixture
def latent_set(tmp_path):
    """A set with one store, in which one item is set aside."""
    pairs = pair_set(LINKS)
    folder = tmp_path / "set [one]"  # rich would read the brackets as markup
    write_set(folder, pairs, {"name": "made_up.module:factory", "options": {}})
    latents = np.random.default_rng(0).standard_normal((40, 5)).astype(np.float32)
    write_store(folder, pairs.left, "eyes", latents, [Rejected("picture-7", "decode", "cannot [identify] 7 bytes")])
    return folder


def printed(capsys, *folders) -> str:
    run_command("info", [str(folder) for folder in folders])
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    return text


def flat(text: str) -> str:
    """Without the line breaks of narrow cells."""
    return " ".join(text.split())


def test_norms_are_those_of_a_loop_over_rows():
    latents = np.random.default_rng(0).standard_normal((50, 3)).astype(np.float32) + 2
    latents[:, 1] = 0.5
    latents[[3, 8]] = np.nan
    rows = [row.astype(float) for row in latents if not np.isnan(row).any()]
    lengths = [sum(x * x for x in row) ** 0.5 for row in rows]
    mean_row = sum(rows) / len(rows)
    norms = norms_of(latents)
    assert norms.num_rows == 48
    assert norms.num_constant == 1
    assert norms.mean == pytest.approx(np.mean(lengths))
    assert norms.std == pytest.approx(np.std(lengths))
    assert (norms.smallest, norms.largest) == pytest.approx((min(lengths), max(lengths)))
    assert norms.shared == pytest.approx(sum(x * x for x in mean_row) ** 0.5 / np.mean(lengths))


def test_latents_that_all_point_one_way_share_everything_and_opposite_ones_nothing():
    direction = np.array([[3.0, 4.0]], dtype=np.float32)
    assert norms_of(np.concatenate([direction, 2 * direction])).shared == pytest.approx(1)
    assert norms_of(np.concatenate([direction, -direction])).shared == pytest.approx(0)
    assert norms_of(np.zeros((4, 2), dtype=np.float32)).shared == 0
    assert norms_of(np.full((4, 2), np.nan, dtype=np.float32)) is None


def test_reasons_that_differ_in_numbers_alone_are_counted_together():
    rejected = [Rejected(str(i), "encode", f"a value of {i}.5e+06 is too large for float16") for i in range(3)]
    rejected.append(Rejected("x", "decode", "cannot identify"))
    assert reasons(rejected) == [
        ("encode", "a value of N is too large for floatN", 3),
        ("decode", "cannot identify", 1),
    ]


def test_figures_of_a_long_store_come_from_a_bounded_sample(tmp_path):
    pairs = pair_set(np.column_stack([np.arange(5000), np.arange(5000)]))
    latents = np.random.default_rng(0).standard_normal((5000, 2)).astype(np.float32)
    write_store(tmp_path, pairs.left, "eyes", latents, shard_size=1000)
    norms = store_facts(tmp_path / "image/eyes").norms
    assert norms.num_rows == SAMPLE_ROWS < 5000
    assert norms.mean == pytest.approx(np.linalg.norm(latents, axis=1).mean(), rel=0.05)


def test_a_set_tells_its_source_its_counts_and_each_of_its_stores(latent_set, capsys):
    text = flat(printed(capsys, latent_set))
    for part in ("data set made_up", "revision 1", "split train", "image items 40", "text items 40", "links 40"):
        assert part in text
    assert "picture-0" in text
    assert "caption 0" in text
    assert "latents 40 × 5 float32" in text
    assert "encoder.family eyes" in text
    assert "without latent: 1" in text
    assert "cannot [identify] N bytes" in text
    assert "L2 norms of 39 latents" in text
    assert "[one]" in text


def test_a_store_alone_shows_items_too_and_several_folders_may_be_named(latent_set, capsys):
    store = latent_set / "image/eyes"
    text = flat(printed(capsys, store, store))
    assert text.count("latents 40 × 5 float32") == 2
    assert text.count("the first image items") == 2


def test_a_set_without_stores_says_how_to_fill_it(tmp_path, capsys):
    write_set(tmp_path, pair_set(LINKS), {"name": "a:b", "options": {}})
    text = flat(printed(capsys, tmp_path))
    assert "It holds no latent store yet. Fill it with cache_features.py or `fusemix import`." in text


def test_an_unfinished_store_says_how_many_of_its_shards_are_there(tmp_path, capsys):
    pairs = pair_set(LINKS)
    write_set(tmp_path, pairs, {"name": "a:b", "options": {}})
    writer = StoreWriter(
        tmp_path / "image/eyes",
        ids=pairs.left.table["id"],
        modality="image",
        dim=2,
        dtype="float16",
        shard_size=16,
        fingerprint={"encoder": {"family": "eyes"}, "items_sha256": items_sha256(pairs.left.table)},
    )
    writer.write(0, np.ones((16, 2), dtype=np.float32), [])
    for folder in (tmp_path, tmp_path / "image/eyes"):
        text = flat(printed(capsys, folder))
        assert "It is unfinished: 1 of 3 shards are there, and no manifest.json, so nothing reads it." in text
        assert "encoder.family eyes" in text


def test_a_damaged_store_does_not_keep_the_rest_from_being_shown(latent_set, capsys):
    (latent_set / "image/eyes/latents-00000.npy").unlink()
    text = flat(printed(capsys, latent_set))
    assert "is missing, so the store is damaged" in text
    assert "image items 40" in text


def test_a_reason_for_every_excluded_entry_is_counted(tmp_path, capsys):
    from dataclasses import replace

    pairs = replace(pair_set(LINKS), excluded=tuple(Rejected(f"gone-{i}", "dataset", "no such file") for i in range(5)))
    write_set(tmp_path, pairs, {"name": "a:b", "options": {}})
    text = flat(printed(capsys, tmp_path))
    assert "left out by the data set: 5" in text
    assert "dataset no such file 5" in text
    assert "gone-0" in text
    assert "gone-4" not in text


def test_a_folder_that_is_none_of_ours_is_refused(tmp_path, latent_set):
    with pytest.raises(LatentStoreError, match="is none of fusemix's: it has no set.json, manifest.json"):
        run_command("info", [str(latent_set / "image")])
    with pytest.raises(LatentStoreError, match="there is no folder"):
        run_command("info", [str(tmp_path / "gone")])
    with pytest.raises(ConfigError, match="info needs at least one folder"):
        run_command("info", [])


def test_long_values_of_a_fingerprint_are_folded_and_hashes_shortened(latent_set, capsys):
    path = latent_set / "image/eyes/manifest.json"
    manifest = json.loads(path.read_text())
    manifest["fingerprint"]["encoder"] = {"weights_sha256": "ab" * 32, "prompt": "word " * 40, "revision": None}
    path.write_text(json.dumps(manifest))
    text = printed(capsys, latent_set)
    assert "abababababab…" in text
    assert text.count("word") == 40
    assert "revision" not in text.split("latent store")[1]
