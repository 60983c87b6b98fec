"""`fusemix rank-encoders`: real small sets, from the folder to the table, the picture and JSON; and every refusal."""

import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from latent_samples import pair_set, write_store
from PIL import Image

import fusemix
from fusemix.cli.called import run_command
from fusemix.cli.loading import load_config
from fusemix.config import RankConfig
from fusemix.errors import ConfigError, FusemixError, LatentStoreError, OutputError
from fusemix.interfaces import Rejected
from fusemix.latents.one_to_one import one_to_one
from fusemix.latents.set_writer import write_set
from fusemix.latents.sets import LatentSet

TOPICS = ["dog", "cat", "car", "boat", "tree", "house", "ball", "snow"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Pictures with two captions each; a good and a poor store of pictures, one of texts, and one of noise a side."""
    return made(tmp_path_factory.mktemp("ranked") / "train")


def made(folder, num_left=200, left="image", **columns):
    generator = np.random.default_rng(0)
    links = np.column_stack([np.repeat(np.arange(num_left), 2), np.arange(2 * num_left)])
    pairs = pair_set(links, folder.name, left)
    hidden = generator.standard_normal((num_left, 8))
    said = hidden[links[:, 0]] + 0.3 * generator.standard_normal((len(links), 8)) > 1
    texts = [" ".join(["a", *np.array(TOPICS)[some], f"w{row}"]) for row, some in enumerate(said)]
    table = pairs.right.table.set_column(1, "caption", pa.array(texts))
    left_table = pairs.left.table
    for name, values in columns.items():
        left_table = left_table.append_column(name, pa.array(values))
    pairs = replace(pairs, right=replace(pairs.right, table=table), left=replace(pairs.left, table=left_table))
    write_set(folder, pairs, {"name": "made_up.module:factory", "options": {}})
    seen = hidden @ generator.standard_normal((8, 12))
    noise = generator.standard_normal
    write_store(folder, pairs.left, "good", (seen + 0.3 * noise(seen.shape)).astype(np.float32))
    write_store(folder, pairs.left, "poor", (seen + 6 * noise(seen.shape)).astype(np.float32))
    words = hidden[links[:, 0]] @ noise((8, 10)) + 0.5 * noise((len(links), 10))
    words = np.concatenate([words, np.ones((len(links), 2))], axis=1)
    write_store(folder, pairs.right, "words", words.astype(np.float32))
    write_store(folder, pairs.right, "nothing", noise((len(links), 10)).astype(np.float32))
    return folder


def ranked(folder, *settings):
    return run_command("rank_encoders", [str(folder), *settings])


@pytest.fixture(scope="module")
def report(folder):
    return ranked(folder)


def test_the_better_encoder_comes_first_and_noise_has_what_chance_gives(report):
    assert [(each["left"], each["right"]) for each in report["ranking"][:2]] == [("good", "words"), ("poor", "words")]
    good, poor, *noise = report["ranking"]
    for name in ("mean_recall", "cka", "mutual_neighbours"):
        assert good["figures"][name] > poor["figures"][name]
        for each in report["ranking"]:
            low, high = each["intervals"][name]
            assert low <= each["figures"][name] <= high
    for each in noise:
        assert each["right"] == "nothing"
        assert each["figures"]["mean_recall"] < 2 * report["chance"]["mean_recall"]
        assert each["figures"]["cka"] == pytest.approx(0, abs=0.05)
        assert each["figures"]["mutual_neighbours"] == pytest.approx(report["chance"]["mutual_neighbours"], abs=0.03)
        assert each["diagnosis"]["regime"] == "neither"
    assert report["chance"]["image_to_text/recall_at_10"] == pytest.approx(10 / 40)


def test_no_two_pairs_share_an_item():
    generator = np.random.default_rng(0)
    links = np.unique(generator.integers(0, 30, size=(200, 2)), axis=0)
    found = one_to_one(links, 1000, seed=1)
    assert len(np.unique(found[:, 0])) == len(np.unique(found[:, 1])) == len(found) > 10
    assert {*map(tuple, found.tolist())} <= {*map(tuple, links.tolist())}
    assert len(one_to_one(links, 5, seed=1)) == 5
    np.testing.assert_array_equal(one_to_one(links, 1000, seed=1), found)


def test_all_is_written_and_nothing_but_seconds_changes_from_run_to_run(folder, report, tmp_path, capsys):
    again = ranked(folder, f"out={tmp_path / 'out'}")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "ranking.json", "table.md", "ranking.png", "ranking.svg"
    }  # fmt: skip
    kept = json.loads((tmp_path / "out" / "ranking.json").read_text())
    assert kept == json.loads(json.dumps(again))
    assert {**report, "seconds": 0} == {**again, "seconds": 0}
    assert Image.open(tmp_path / "out" / "ranking.png").width > 1000
    text = (tmp_path / "out" / "table.md").read_text()
    assert re.search(r"\| good \| words \|", text)
    assert all(name in text for name in report["definitions"])
    shown = capsys.readouterr().out
    assert max(map(len, shown.split("ranking:")[0].splitlines())) <= 80
    assert "words: 2 of 12 dimensions never change and tell nothing." in shown
    assert "the other texts of its item" in " ".join(shown.split())
    ranked(folder, f"out={tmp_path / 'out'}")
    with pytest.raises(OutputError, match=r"settings\.k: on disk 10, now 3"):
        ranked(folder, f"out={tmp_path / 'out'}", "k=3")


def test_encoders_that_are_named_are_the_ones_that_are_looked_at(folder, capsys):
    found = ranked(folder, "encoders={image: [poor], text: [words]}")
    assert [(each["left"], each["right"]) for each in found["ranking"]] == [("poor", "words")]
    assert "There is one store a side, so nothing to compare" in capsys.readouterr().out
    assert len(ranked(folder, "encoders.text=[words]")["ranking"]) == 2


def test_from_python_it_is_the_same(folder, report):
    found = fusemix.rank_encoders(latents=folder, k=10)
    assert found["ranking"] == report["ranking"]


def test_rejected_items_are_left_out_for_all(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "train")
    items = pair_set(LatentSet(folder).links)
    latents = np.random.default_rng(0).standard_normal((200, 4)).astype(np.float32)
    rejected = [Rejected(f"picture-{row}", "encode", "odd") for row in range(30)]
    latents[:30] = np.nan
    write_store(tmp_path / "train", items.left, "odd", latents, rejected)
    assert ranked(tmp_path / "train")["counts"]["pairs"] == 170
    assert ranked(tmp_path / "train", "encoders.image=[good]")["counts"]["pairs"] == 200


def test_labels_may_be_a_column_of_numbers_of_categories_or_of_several_values(tmp_path):
    kinds = np.array(["red;round", "red", "green", "blue"])[np.arange(200) % 4]
    folder = made(tmp_path / "train", left="audio", kind=kinds.tolist(), size=np.arange(200.0).tolist())
    found = ranked(folder, "labels=kind")["labels"]
    assert found == {"about": "kind of its audio item, 4 values", "names": found["names"]}
    assert {*found["names"]} == {"red", "round", "green", "blue"}
    assert ranked(folder, "labels=size")["labels"] == {"about": "size of its audio item", "names": ["size"]}
    with pytest.raises(
        ConfigError, match=r"labels=knd: neither side.*Columns: caption, kind, size\. Did you mean 'kind'"
    ):
        ranked(folder, "labels=knd")
    with pytest.raises(ConfigError, match="labels=caption: no two items"):
        ranked(folder, "labels=caption")


def test_without_labels_the_diagnosis_is_left_out_and_it_says_why(make_set, capsys):
    found = ranked(make_set(num_left=60, captions=1))
    assert found["ranking"][0]["diagnosis"] is None
    assert "No diagnosis: hardly a word is in 1% to 20% of the texts" in " ".join(capsys.readouterr().out.split())


REFUSED = {
    "encoders.image=[goood]": (ConfigError, r"has no store 'goood'\. Did you mean 'good'\? Stores: good, poor\."),
    "encoders.imgae=[good]": (ConfigError, r"encoders\.imgae: .* pairs image with text\. Did you mean 'image'\?"),
    "encoders.image=[]": (ConfigError, r"encoders\.image names no latent store"),
    "encoders.image=[good,good]": (ConfigError, "holds 'good' twice"),
    "k=199": (ConfigError, r"k=199 neighbours cannot be found among 200 pairs.*Set k to 198 or less\."),
    "num_pairs=10": (ConfigError, "num_pairs"),
}


@pytest.mark.parametrize("setting", REFUSED)
def test_what_is_wrong_with_a_setting_is_one_message(setting, folder):
    kind, message = REFUSED[setting]
    with pytest.raises(kind, match=message):
        ranked(folder, setting)


def test_what_is_wrong_with_a_set_is_one_message(folder, make_set, tmp_path):
    with pytest.raises(LatentStoreError, match=r"has no set\.json, so it is no latent set"):
        ranked(tmp_path)
    with pytest.raises(LatentStoreError, match=r"has 40 links, and among them 20 .* Fewer than 50 tell nothing"):
        ranked(make_set(num_left=20))
    lone = make_set("lone", num_left=60)
    shutil.rmtree(lone / "text")
    with pytest.raises(ConfigError, match="has no finished latents of its text items, so there is nothing to compare"):
        ranked(lone)
    for slug, value, message in (
        ("flat", 1.0, "are all the same"),
        ("broken", np.nan, "hold NaN or infinity, in 3 of"),
    ):
        shutil.copytree(folder, tmp_path / slug)
        latents = np.random.default_rng(0).standard_normal((200, 4)).astype(np.float32)
        store = tmp_path / slug / "image" / slug
        write_store(tmp_path / slug, pair_set(LatentSet(folder).links).left, slug, latents)
        for path in sorted(store.glob("latents-*.npy")):
            shard = np.load(path)
            shard[: 1 if slug == "broken" else None] = value
            np.save(path, shard[:])
        message = message.replace("3", str(len(list(store.glob("latents-*.npy")))))
        with pytest.raises(LatentStoreError, match=message):
            ranked(tmp_path / slug)


def test_a_subset_is_ranked_by_the_stores_of_the_set_that_it_is_of(folder, tmp_path):
    run_command("select", [str(folder), "size=120", "method=uniform", f"out={tmp_path / 'some'}"])
    found, whole = ranked(tmp_path / "some"), ranked(folder)
    assert found["stores"] == whole["stores"]
    assert found["counts"]["links"] == 120
    assert {(each["left"], each["right"]) for each in found["ranking"]} == {
        (each["left"], each["right"]) for each in whole["ranking"]
    }


def test_the_folder_is_one_bare_word_or_a_setting(folder):
    assert load_config(RankConfig, [str(folder)]) == load_config(RankConfig, [f"latents={folder}"])
    assert load_config(RankConfig, ["--latents", str(folder), "-k", "3"]).k == 3
    with pytest.raises(ConfigError, match="latents is one, but was given 2: one, two"):
        load_config(RankConfig, ["one", "two"])
    with pytest.raises(FusemixError, match="latents"):
        load_config(RankConfig, [])
