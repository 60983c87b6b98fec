"""`fusemix select`, from the words of a command to a subset that trains."""

import json

import numpy as np
import pytest
import torch
from latent_samples import pair_set, write_store

from fusemix.cli.called import run_command
from fusemix.disk.files import read_json, write_json
from fusemix.errors import ConfigError, FusemixError, LatentStoreError, OutputError
from fusemix.latents.set_writer import write_set
from fusemix.latents.sets import LatentSet
from fusemix.selection.kdpp import most_diverse
from fusemix.wiring.selecting import methods, select

METHODS = ("uniform", "kdpp", "density", "facility")


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def selected(latents, out, *words):
    return LatentSet(run_command("select", [str(latents), f"out={out}", *words]))


def places_in(whole, some):
    """Which links of a set a subset has."""
    all_links = {tuple(link): place for place, link in enumerate(LatentSet(whole).links.tolist())}
    return [all_links[tuple(link)] for link in some.links.tolist()]


@pytest.mark.parametrize("method", METHODS)
def test_a_method_gives_as_many_pairs_as_are_asked_for_and_the_same_ones_again(method, make_set, tmp_path):
    whole = make_set("train")
    one = selected(whole, tmp_path / "one", "size=40", f"method={method}", "seed=5")
    other = selected(whole, tmp_path / "other", "size=40", f"method={method}", "seed=5")
    places = places_in(whole, one)
    assert len(set(places)) == 40
    assert places == sorted(places) == places_in(whole, other)
    assert one.description["selection"]["asked"]["method"] == method
    assert sorted(content(one.folder)) == ["links.parquet", "set.json"]


@pytest.mark.parametrize("method", METHODS[1:])
def test_an_item_comes_twice_only_when_all_came_once(method, make_set, tmp_path):
    whole = make_set("train", num_left=30, captions=3)
    assert len(np.unique(selected(whole, tmp_path / "a", "size=30", f"method={method}").links[:, 0])) == 30
    more = selected(whole, tmp_path / "b", "size=50", f"method={method}")
    assert len(np.unique(more.links[:, 0])) == 30
    assert len(np.unique(more.links, axis=0)) == 50
    assert more.description["selection"]["num_uniform"] == 20


@pytest.mark.parametrize(("modality", "place"), [("image", 0), ("text", 1)])
def test_kdpp_takes_the_items_that_greedy_choice_over_their_unit_latents_takes(modality, place, make_set, tmp_path):
    whole = LatentSet(make_set("train", num_left=60, captions=1))
    latents = torch.from_numpy(whole.sides[place].take(np.arange(60)))
    rows = most_diverse(torch.nn.functional.normalize(latents, dim=1), 15).rows
    some = selected(whole.folder, tmp_path / "some", "size=15", "method=kdpp", f"modality={modality}")
    assert sorted(some.links[:, place].tolist()) == sorted(rows.tolist())


def test_several_stores_of_a_side_are_compared_as_the_mean_of_their_cosines(tmp_path):
    pairs = pair_set(np.column_stack([np.arange(40), np.arange(40)]))
    write_set(tmp_path / "set", pairs, {"name": "made_up", "options": {}})
    generator = np.random.default_rng(0)
    stores = [generator.standard_normal((40, dim)).astype(np.float32) * size for dim, size in ((6, 1), (9, 100))]
    for slug, latents in zip(("a", "b"), stores, strict=True):
        write_store(tmp_path / "set", pairs.left, slug, latents)
    write_store(tmp_path / "set", pairs.right, "words", stores[0])
    beside = np.concatenate([one / np.linalg.norm(one, axis=1, keepdims=True) for one in stores], axis=1) / 2**0.5
    rows = most_diverse(torch.from_numpy(beside), 10).rows
    assert sorted(selected(tmp_path / "set", tmp_path / "some", "size=10", "method=kdpp").links[:, 0]) == sorted(rows)


def test_of_few_pairs_kdpp_and_from_a_million_density():
    assert select.method_of("auto", 999_999, 20_000) == "kdpp"
    assert select.method_of("auto", 999_999, 20_001) == "density"
    assert select.method_of("auto", 1_000_000, 5000) == "density"
    assert select.method_of("uniform", 5_000_000, 5000) == "uniform"


def test_kdpp_chooses_by_parts_only_where_memory_asks_for_it():
    assert methods.num_parts(1_000_000, 384, 5000) == 1
    assert methods.num_parts(10_000_000, 384, 5000) > 10


def test_kdpp_is_not_asked_for_more_than_it_can_do(make_set, tmp_path, monkeypatch):
    monkeypatch.setattr(methods, "MOST_PICKS", 30)
    whole = make_set("train")
    with pytest.raises(ConfigError, match=r"size is 40, and kdpp chooses 30 items at most.*Set method=density"):
        selected(whole, tmp_path / "some", "size=40", "method=kdpp")
    assert len(selected(whole, tmp_path / "some", "size=30", "method=kdpp").links) == 30


def test_kdpp_by_parts_is_nearly_as_diverse(make_set, tmp_path):
    whole = make_set("train", num_left=300, captions=1)
    found = [
        selected(whole, tmp_path / f"of-{parts}", "size=30", "method=kdpp", f"parts={parts}").description["selection"]
        for parts in (1, 5)
    ]
    assert found[1]["parts"] == 5
    assert found[0]["log_determinant"] * 0.9 < found[1]["log_determinant"] <= found[0]["log_determinant"] + 0.5


def test_filter_leaves_wrong_captions_for_last(make_set, tmp_path):
    """Every eighth pair of the set has the caption of another one."""
    whole = make_set("train", num_left=96, captions=1)
    encoders = "encoders={image: [eyes], text: [words]}"
    how = [f"train={whole}", "validation=null", "holdout=0.1", encoders, "compute.accelerator=cpu"]
    run_command("train", ["closed_form", *how, f"out={tmp_path / 'run'}"])
    links = np.column_stack([np.arange(96), np.arange(96)])
    wrong = np.arange(0, 96, 8)
    links[wrong, 1] = np.roll(wrong, 1)
    pairs = pair_set(links)
    write_set(tmp_path / "mixed", pairs, {"name": "made_up", "options": {}})
    for side, items, slug in zip(LatentSet(whole).sides, pairs.sides, ("eyes", "words"), strict=True):
        write_store(tmp_path / "mixed", items, slug, side.take(np.arange(96)))
    words = ["size=80", "method=filter", f"model={tmp_path / 'run'}", "compute.accelerator=cpu"]
    some = selected(tmp_path / "mixed", tmp_path / "some", *words)
    assert len(np.intersect1d(places_in(tmp_path / "mixed", some), wrong)) <= 1
    assert some.description["selection"]["least_cosine"] > 0


def test_a_subset_trains_and_is_measured_like_any_set(make_set, tmp_path):
    some = selected(make_set("train"), tmp_path / "some", "size=60")
    common = ["encoders={image: [eyes], text: [words]}", "compute.accelerator=cpu"]
    trained = run_command(
        "train", ["closed_form", f"train={some.folder}", "holdout=0.2", *common, f"out={tmp_path / 'r'}"]
    )
    assert trained.is_file()
    where = [
        f"model={tmp_path / 'r'}",
        f"latents={some.folder}",
        "compute.accelerator=cpu",
        f"out={tmp_path / 'report'}",
    ]
    run_command("eval_retrieval", where)
    queries = [json.loads(line) for line in (tmp_path / "report" / "queries.jsonl").read_text().splitlines()]
    num_items = sum(len(np.unique(some.links[:, place])) for place in (0, 1))
    assert len(queries) == num_items, "each item that its links name, and no other one, is a query once"
    run_command("verify", [str(some.folder)])
    run_command("info", [str(some.folder)])


def test_the_same_command_again_changes_nothing_and_another_is_refused(make_set, tmp_path, capsys):
    whole = make_set("train")
    out = selected(whole, tmp_path / "some", "size=20").folder
    before = content(out)
    capsys.readouterr()
    selected(whole, out, "size=20")
    assert "is there already" in capsys.readouterr().out
    with pytest.raises(OutputError, match=r"holds another subset:\n  method: on disk 'kdpp', now 'uniform'\nChoose"):
        selected(whole, out, "size=20", "method=uniform")
    assert content(out) == before
    assert selected(whole, out, "size=20", "method=uniform", "overwrite=true").folder == out
    assert content(out) != before


def test_a_set_with_latents_is_never_replaced_by_a_subset(make_set, tmp_path):
    whole, other = make_set("train"), make_set("other")
    for words in ([], ["overwrite=true"]):
        with pytest.raises(OutputError, match="does not say that it is a subset"):
            selected(whole, other, "size=20", *words)
    assert len(LatentSet(other).links) == 256


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        (["size=257"], ConfigError, r"^size is 257, but .*train has 256 pairs with latents\. Give a smaller one\.$"),
        (["size=9", "modality=audio"], ConfigError, r"modality is 'audio', but .*train pairs image with text\.$"),
        (["size=9", "encoders={image: [eyse], text: []}"], LatentStoreError, "eyse"),
        (["size=9", "method=filter"], ConfigError, r"compares the two sides of a pair by a model: give model=FOLDER"),
        (["size=9", "model=x"], ConfigError, r"model=x is for method=filter alone"),
        (["size=9", "method=dpp"], ConfigError, "kdpp"),
    ],
)
def test_bad_input_is_one_message_and_nothing_is_written(words, error, message, make_set, tmp_path):
    with pytest.raises(error, match=message):
        selected(make_set("train"), tmp_path / "some", *words)
    assert not (tmp_path / "some").exists()


def test_a_side_without_latents_cannot_be_compared(make_set, tmp_path):
    with pytest.raises(FusemixError, match="has no image latents to compare"):
        selected(make_set("train"), tmp_path / "some", "size=9", "encoders={image: [], text: [words]}")


def test_a_store_that_holds_nan_is_refused(make_set, tmp_path):
    whole = make_set("train", num_left=20)
    shard = next((whole / "image" / "eyes").glob("latents-*.npy"))
    latents = np.load(shard)
    latents[3] = np.nan
    np.save(shard, latents)
    with pytest.raises(LatentStoreError, match="has image latents with NaN or infinity, which it does not list"):
        selected(whole, tmp_path / "some", "size=9", "method=kdpp")


def test_facility_is_not_asked_for_more_than_fits_into_memory(make_set, tmp_path, monkeypatch):
    monkeypatch.setattr(methods, "MOST_BYTES", 1000)
    with pytest.raises(ConfigError, match=r"facility takes .* GB for 128 items with 20 neighbours.*method=density"):
        selected(make_set("train"), tmp_path / "some", "size=9", "method=facility")


def test_verify_names_a_subset_that_leads_nowhere_and_looks_at_the_others(make_set, tmp_path, capsys):
    whole = make_set("train")
    (tmp_path / "sets").mkdir()
    for name in ("a", "b"):
        selected(whole, tmp_path / "sets" / name, "size=9")
    about = read_json(tmp_path / "sets" / "a" / "set.json")
    write_json(tmp_path / "sets" / "a" / "set.json", {**about, "items_of": "nowhere"})
    capsys.readouterr()
    with pytest.raises(
        LatentStoreError, match=r"1 damaged:\n.*a/set\.json leads nowhere: .*nowhere, which is not there"
    ):
        run_command("verify", [str(tmp_path / "sets")])
    assert "b: a subset; its items and latents lie in" in capsys.readouterr().out


def test_pairs_that_lack_a_latent_are_not_chosen(tmp_path):
    from fusemix.interfaces import Rejected

    pairs = pair_set(np.column_stack([np.arange(20), np.arange(20)]))
    write_set(tmp_path / "set", pairs, {"name": "made_up", "options": {}})
    generator = np.random.default_rng(0)
    rejected = [Rejected(f"picture-{row}", "decode", "broken") for row in range(5)]
    write_store(tmp_path / "set", pairs.left, "eyes", generator.standard_normal((20, 4)).astype(np.float32), rejected)
    write_store(tmp_path / "set", pairs.right, "words", generator.standard_normal((20, 4)).astype(np.float32))
    some = selected(tmp_path / "set", tmp_path / "some", "size=15", "method=uniform")
    assert some.links[:, 0].min() == 5
    with pytest.raises(ConfigError, match="has 15 pairs with latents"):
        selected(tmp_path / "set", tmp_path / "more", "size=16")
