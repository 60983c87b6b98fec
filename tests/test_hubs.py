"""Hubs of a run: kept when it ends, beside plain figures in evaluation, in exports, in `similarity`, in an index."""

import json
import re
import shutil

import numpy as np
import pytest
import torch
from evaluation_world import evaluated, settings
from index_samples import make

import fusemix
from fusemix.cli.called import run_command
from fusemix.errors import ConfigError, QueryError, RunError
from fusemix.fusion.checkpoints import HUBS
from fusemix.models.hubs import Hubs, read_hubs, write_hubs
from fusemix.models.trained import open_trained
from fusemix.retrieval.hub_correction import Strength
from fusemix.search.description import read_description
from fusemix.wiring.searching.searcher import LIKE, Query, Searcher, summed
from fusemix.wiring.training.hubs import levels_of, siblings

STRENGTHS = {
    "image_to_text": Strength(1.0, 10.0),
    "text_to_image": Strength(0.7, 20.0),
    "image_to_image": Strength(0.0, 5.0),
    "text_to_text": Strength(0.5, 10.0),
}
KEPT = ("hub_correction=true",)
"""Of a new index."""
LEVELS = {"image_to_text": 0.1, "text_to_image": 0.2, "image_to_image": 0.3, "text_to_text": 0.4}


def with_hubs(run, out, levels=LEVELS):
    """A copy of a run with the same banks, and strengths and levels of our own."""
    shutil.copytree(run, out)
    hubs = open_trained(run).hubs
    sha256 = json.loads(_metadata(run / HUBS))["model"]
    write_hubs(out / HUBS, Hubs(hubs.banks, STRENGTHS, levels), sha256)
    return out


def _metadata(path):
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        return file.metadata()["fusemix"]


def naive(bank, items, strength):
    scores = bank.double().numpy() @ items.astype(np.float64).T
    return strength.alpha / strength.beta * np.log(np.exp(strength.beta * scores).mean(axis=0))


def test_a_run_keeps_a_bank_of_each_modality_and_strengths_of_every_direction(evaluation_world):
    hubs = open_trained(evaluation_world.run).hubs
    model = open_trained(evaluation_world.run).model
    assert {name: bank.shape for name, bank in hubs.banks.items()} == {"image": (200, 8), "text": (600, 8)}
    assert all(bank.dtype == torch.float16 for bank in hubs.banks.values())
    assert set(hubs.strengths) == {"image_to_text", "text_to_image", "text_to_text"}  # no two captions, one picture
    assert set(hubs.levels) == set(LEVELS)
    latents = fusemix.LatentSet(evaluation_world.sets / "train", {"image": ["eyes"], "text": ["words"]}).numpy()
    with torch.inference_mode():
        wanted = model.embed("image", torch.from_numpy(latents.left)).half()
    assert {tuple(row) for row in hubs.banks["image"].tolist()} == {tuple(row) for row in wanted.tolist()}


def test_the_last_epoch_knows_nothing_of_hubs(evaluation_world):
    assert open_trained(evaluation_world.run, "last").hubs is None


def test_evaluation_shows_them_in_a_row_and_in_the_headline_where_that_is_asked_for(evaluation_world, tmp_path):
    world = evaluation_world._replace(run=with_hubs(evaluation_world.run, tmp_path / "run"))
    plain = evaluated(world, tmp_path / "plain")
    row = next(one for one in plain["others"] if one["name"] == "hub constants")
    assert "alpha 0.7, beta 20" in row["about"] and plain["is_corrected"] is False
    asked = evaluated(world, tmp_path / "corrected", "hub_correction=true")
    assert asked["metrics"] == pytest.approx(row["metrics"])
    (other,) = [one for one in asked["others"] if one["kind"] == "correction"]
    assert other["metrics"] == pytest.approx(plain["metrics"])
    for name in ("report.md", "report.html"):
        assert "hubs corrected" in (tmp_path / "corrected" / name).read_text()
        assert "hubs corrected" not in (tmp_path / "plain" / name).read_text()


def test_a_run_without_hubs_is_measured_plainly_and_refuses_a_corrected_headline(evaluation_world, tmp_path):
    shutil.copytree(evaluation_world.run, tmp_path / "run", ignore=shutil.ignore_patterns(HUBS))
    world = evaluation_world._replace(run=tmp_path / "run")
    assert "hub constants" not in [one["name"] for one in evaluated(world, tmp_path / "report")["others"]]
    with pytest.raises(ConfigError, match=r"hub_correction=true, but the hubs of .* are not known"):
        run_command("eval_retrieval", settings(world, tmp_path / "other", "hub_correction=true"))


def test_a_bank_of_another_model_is_refused_in_one_message(evaluation_world, tmp_path):
    run = with_hubs(evaluation_world.run, tmp_path / "run")
    hubs = open_trained(run).hubs
    write_hubs(run / HUBS, hubs, "0" * 64)
    with pytest.raises(RunError, match=r"hubs\.safetensors is a bank of another model .* Delete it"):
        fusemix.load(run, device="cpu")


@pytest.mark.parametrize("content", [b"", b"something else", b"\x08\x00\x00\x00\x00\x00\x00\x00{}      "])
def test_a_damaged_file_is_refused_in_one_message(evaluation_world, tmp_path, content):
    run = with_hubs(evaluation_world.run, tmp_path / "run")
    (run / HUBS).write_bytes(content)
    with pytest.raises(RunError, match=r"hubs\.safetensors is (damaged|of another version).* Delete it"):
        open_trained(run)


@pytest.mark.parametrize(
    "hubs",
    [
        Hubs({"image": torch.ones(3, 8).half()}, {}, {}),  # longer than unit vectors
        Hubs({"image": torch.full((3, 8), torch.nan).half()}, {}, {}),
        Hubs({"image": torch.zeros(3, 7).half()}, {}, {}),
        Hubs({"image": torch.zeros(3, 8).half()}, {"text_to_image": Strength(1.0, 10.0)}, {}),
        Hubs({"image": torch.zeros(3, 8).half()}, {"image_to_text": Strength(1.0, 1e9)}, {}),
        Hubs({"image": torch.zeros(3, 8).half()}, {"image_to_text": Strength(float("nan"), 10.0)}, {}),
        Hubs({"image": torch.zeros(3, 8).half()}, {}, {"image_to_text": 1e9}),
    ],
)
def test_what_somebody_hostile_wrote_is_refused(tmp_path, hubs):
    write_hubs(tmp_path / HUBS, hubs, "a")
    with pytest.raises(RunError, match="is damaged"):
        read_hubs(tmp_path / HUBS, "a", 8)


def test_they_travel_with_an_export(evaluation_world, tmp_path):
    run = with_hubs(evaluation_world.run, tmp_path / "run")
    run_command("export", ["--model", str(run), "--out", str(tmp_path / "export")])
    there, here = open_trained(tmp_path / "export").hubs, open_trained(run).hubs
    assert (there.strengths, there.levels) == (here.strengths, here.levels)
    for modality, bank in here.banks.items():
        assert torch.equal(there.banks[modality], bank)


def test_similarity_takes_constants_where_modalities_are_named(evaluation_world, tmp_path):
    model = fusemix.load(with_hubs(evaluation_world.run, tmp_path / "run"), device="cpu")
    images = np.random.default_rng(0).standard_normal((5, 12)).astype(np.float32)
    pictures = model.encode(images=images)
    texts = model.encode(texts=np.random.default_rng(1).standard_normal((4, 8)).astype(np.float32))
    plain = model.similarity(texts, pictures)
    taken = naive(model.embedder.trained.hubs.banks["text"], pictures, STRENGTHS["text_to_image"])
    found = model.similarity(texts, pictures, queries="text", gallery="image")
    np.testing.assert_allclose(found, plain - taken, atol=2e-5)
    off = model.similarity(texts, pictures, queries="text", gallery="image", hub_correction=False)
    np.testing.assert_array_equal(off, plain)
    with pytest.raises(ConfigError, match="name both modalities"):
        model.similarity(texts, pictures, gallery="image")


@pytest.fixture(scope="module")
def mixed(tiny, tmp_path_factory):
    """An index of pictures and of their captions, by a run whose hubs are our own."""
    folder = tmp_path_factory.mktemp("mixed")
    model = tiny._replace(run=_tiny_with_hubs(tiny.run, folder / "run"))
    for modality in ("image", "text"):
        make(model, folder / "index", tiny.latents / "pictures" / "all", *KEPT, "modality=" + modality)
    return folder


def _tiny_with_hubs(run, out):
    shutil.copytree(run, out)
    hubs = open_trained(run).hubs
    wanted = {one: strength for one, strength in STRENGTHS.items() if one.partition("_to_")[0] in hubs.banks}
    write_hubs(out / HUBS, Hubs(hubs.banks, wanted, LEVELS), json.loads(_metadata(run / HUBS))["model"])
    return out


def test_an_index_scores_each_item_less_its_constant_and_level(tiny, mixed):
    searcher = Searcher(mixed / "index", device="cpu")
    hubs = open_trained(mixed / "run").hubs
    assert read_description(mixed / "index").hub_queries == list(hubs.banks)
    query = [Query("text", "one blue circle")]
    vectors = searcher.embed(query)
    everywhere = list(range(searcher.index.num_items))
    items, kept = searcher.index.items(everywhere), searcher.index.vectors(everywhere)
    wanted = {}
    for item, vector in zip(items, kept, strict=True):
        way = f"text_to_{item['modality']}"
        taken = naive(hubs.banks["text"], vector[None], STRENGTHS[way])[0] + LEVELS[way]
        wanted[item["id"]] = float(vectors[0] @ vector) - taken
    (hits,) = searcher.search(summed(vectors, searcher.weights(query))[None], len(items))
    assert {hit.id: hit.score for hit in hits} == pytest.approx(wanted, abs=1e-4)
    assert [hit.id for hit in hits] == sorted(wanted, key=lambda one: -wanted[one])


def test_without_correction_and_for_vectors_of_no_modality_scores_are_cosines(tiny, mixed):
    plain = Searcher(mixed / "index", device="cpu", hub_correction=False)
    searcher = Searcher(mixed / "index", device="cpu")
    query = Query("text", "one blue circle")
    vector = plain.embed([query])
    (wanted,) = plain.search(summed(vector, plain.weights([query]))[None], 5)
    unknown = Query("embedding", vector[0])
    (found,) = searcher.search(summed(searcher.embed([unknown]), searcher.weights([unknown]))[None], 5)
    known = unknown._replace(of="text")
    (same,) = searcher.search(summed(searcher.embed([known]), searcher.weights([known]))[None], 5)
    (asked,) = searcher.search(summed(vector, searcher.weights([query]))[None], 5)
    assert [hit.id for hit in found] == [hit.id for hit in wanted] and [h.id for h in same] == [h.id for h in asked]
    assert wanted[0].score == pytest.approx(
        float(vector[0] @ searcher.index.vectors([wanted[0].position])[0]), abs=1e-6
    )


def test_more_like_this_asks_as_what_the_item_is(mixed):
    searcher = Searcher(mixed / "index", device="cpu")
    items = searcher.index.items(list(range(searcher.index.num_items)))
    asking = read_description(mixed / "index").hub_queries
    for modality in ("image", "text"):
        item = next(one["id"] for one in items if one["modality"] == modality)
        assert searcher.weights([Query(LIKE, item)]).tolist() == [[float(one == modality) for one in asking]]


@pytest.mark.parametrize("modality", ["image", "text"])
def test_a_search_names_the_modality_that_it_wants(mixed, modality, capsys):
    found = run_command("search", ["a red bar", "--index", str(mixed / "index"), "--modality", modality, "-k", "50"])
    counts = Searcher(mixed / "index", device="cpu").index.counts
    assert {hit.modality for hit in found} == {modality} and len(found) == min(50, counts[modality])
    everything = run_command("search", ["a red bar", "--index", str(mixed / "index"), "-k", "1000"])
    assert [hit.id for hit in everything if hit.modality == modality][: len(found)] == [hit.id for hit in found]


def test_a_modality_that_is_not_there_is_refused_with_what_is(mixed):
    with pytest.raises(QueryError, match=r"the index holds no imag items, but image and text\. Did you mean 'image'"):
        run_command("search", ["a red bar", "--index", str(mixed / "index"), "--modality", "imag"])


def test_a_mixed_index_says_which_modality_comes_first_without_and_with_levels(tiny, mixed, tmp_path, capsys):
    model = tiny._replace(run=mixed / "run")
    for modality in ("image", "text"):
        make(model, tmp_path / "index", tiny.latents / "pictures" / "all", *KEPT, "modality=" + modality)
    said = capsys.readouterr().out.replace("\n", " ")
    searcher = Searcher(tmp_path / "index", device="cpu")
    bank = open_trained(mixed / "run").hubs.banks["text"][:200].float().numpy()
    for weights, place in ((np.zeros, 1), (np.ones, 2)):
        asking = weights((len(bank), 1), np.float32) * searcher.weights([Query("text", "")])
        positions = searcher.index.search(np.concatenate([bank, asking], axis=1), 20).positions
        share = np.mean([item["modality"] == "image" for item in searcher.index.items(positions.ravel().tolist())])
        found = re.search(r"for text queries, by cosines → as searched: image (\d+)% → (\d+)%", said)
        assert float(found[place]) == pytest.approx(100 * share, abs=0.51)


def test_an_index_of_cosines_stays_one(tiny, tmp_path):
    out = make(tiny, tmp_path / "index", tiny.latents / "pictures" / "all", "hub_correction=false", "modality=image")
    assert read_description(out).hub_queries == []
    make(tiny, out, tiny.latents / "pictures" / "all", "modality=text")
    assert read_description(out).hub_queries == [] and Searcher(out, device="cpu").index.counts.keys() == {
        "image",
        "text",
    }


def test_an_index_with_hubs_is_not_added_to_by_a_model_that_lost_them(tiny, mixed, tmp_path):
    shutil.copytree(mixed / "index", tmp_path / "index")
    shutil.copytree(mixed / "run", tmp_path / "run", ignore=shutil.ignore_patterns(HUBS))
    with pytest.raises(RunError, match=r"has hubs corrected for \w+ queries, .* knows nothing of them"):
        make(
            tiny._replace(run=tmp_path / "run"),
            tmp_path / "index",
            tiny.latents / "sounds" / "all",
            *KEPT,
            "modality=audio",
        )


def test_a_modality_of_one_item_has_no_height_of_its_own():
    banks = {"image": torch.nn.functional.normalize(torch.ones(3, 4), dim=1), "text": torch.ones(1, 4) / 2}
    levels = levels_of(Hubs(banks, {}, {}), torch.device("cpu"))
    assert all(np.isfinite(level) for level in levels.values()) and set(levels) == set(LEVELS)


def test_siblings_are_items_of_one_partner():
    links = np.array([[0, 0], [0, 1], [1, 2], [2, 3], [2, 4], [2, 5], [1, 0]])
    asking, given, pairs = siblings(links)
    assert (asking.tolist(), given.tolist(), pairs.tolist()) == ([0, 3], [1, 4, 5], [[0, 0], [1, 1], [1, 2]])
