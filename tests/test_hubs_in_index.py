"""Hubs in an index: constants of its items, levels of its modalities, and which scores a search gives then."""

import json
import math
import re
import shutil
from itertools import product

import numpy as np
import pytest
from hub_samples import LEVELS, by_definition, with_hubs
from index_samples import make

from fusemix.cli.called import run_command
from fusemix.errors import IndexFolderError, QueryError, RunError
from fusemix.fusion.checkpoints import HUBS
from fusemix.models.queries import LIKE, Query, summed
from fusemix.models.trained import open_trained
from fusemix.search.description import INDEX, read_description
from fusemix.wiring.searching.searcher import Searcher

CIRCLE, BAR = Query("text", "one blue circle"), Query("text", "a red bar")


@pytest.fixture(scope="module")
def mixed(tiny, tmp_path_factory):
    """An index of pictures and of their captions, by a run whose hubs are our own."""
    folder = tmp_path_factory.mktemp("mixed")
    model = tiny._replace(run=with_hubs(tiny.run, folder / "run"))
    for modality in ("image", "text"):
        make(model, folder / "index", tiny.latents / "pictures" / "all", "modality=" + modality)
    return folder


@pytest.fixture(scope="module")
def alone(tiny, mixed):
    """Modality -> an index of these items of `mixed` alone."""
    model = tiny._replace(run=mixed / "run")
    data = tiny.latents / "pictures" / "all"
    return {one: make(model, mixed / one, data, "modality=" + one) for one in ("image", "text")}


def found(searcher, queries, modality=None):
    """Every hit."""
    vector = summed(searcher.embed(queries), searcher.weights(queries), [query.weight for query in queries])
    scope = searcher.scope(queries, modality or "any")
    return searcher.search(vector[None], searcher.index.num_items, scope)[0]


def test_an_index_scores_each_item_less_its_constant_and_level(tiny, mixed):
    about, hubs = read_description(mixed / "index"), open_trained(mixed / "run").hubs
    assert about.hub_queries == list(hubs.banks)
    assert about.hub_levels == {way: LEVELS.get(way, 0.0) for way in map("_to_".join, product(hubs.banks, hubs.banks))}
    searcher, query = Searcher(mixed / "index", device="cpu"), [Query("text", "one blue circle")]
    wanted = by_definition(searcher, query, hubs, LEVELS)
    hits = found(searcher, query)
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
    everything = run_command(
        "search", ["a red bar", "--index", str(mixed / "index"), "-k", "1000", "--modality", "any"]
    )
    assert [hit.id for hit in everything if hit.modality == modality][: len(found)] == [hit.id for hit in found]


def test_a_modality_that_is_not_there_is_refused_with_what_is(mixed):
    with pytest.raises(QueryError, match=r"the index holds no imag items, but image and text\. Did you mean 'image'"):
        run_command("search", ["a red bar", "--index", str(mixed / "index"), "--modality", "imag"])


def test_a_mixed_index_says_which_modality_comes_first_without_and_with_levels(tiny, mixed, tmp_path, capsys):
    model = tiny._replace(run=mixed / "run")
    make(model, tmp_path / "index", tiny.latents / "pictures" / "all", "modality=image")
    assert "shares of the first" not in capsys.readouterr().out
    make(model, tmp_path / "index", tiny.latents / "pictures" / "all", "modality=text")
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
            "modality=audio",
        )


# One modality alone


@pytest.mark.parametrize("gallery", ["image", "text"])
@pytest.mark.parametrize("kind", ["image", "text", "audio"])
def test_an_index_of_one_modality_scores_items_less_their_constants_alone(tiny, mixed, alone, kind, gallery):
    searcher = Searcher(alone[gallery], device="cpu")
    query = [CIRCLE if kind == "text" else Query(kind, tiny.files[kind][4])]
    wanted = by_definition(searcher, query, open_trained(mixed / "run").hubs, {})
    assert {hit.id: hit.score for hit in found(searcher, query)} == pytest.approx(wanted, abs=1e-4)


def test_where_constants_are_not_wanted_scores_are_cosines(alone):
    searcher = Searcher(alone["image"], device="cpu")
    everywhere = list(range(searcher.index.num_items))
    vectors, items = searcher.index.vectors(everywhere), searcher.index.items(everywhere)
    hits = found(searcher, [Query(LIKE, items[3]["id"])])
    cosines = dict(zip((item["id"] for item in items), (vectors @ vectors[3]).tolist(), strict=True))
    assert {hit.id: hit.score for hit in hits} == pytest.approx(cosines, abs=1e-6)
    assert hits[0].score == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_a_level_is_given_back_as_exactly_as_vectors_are_kept(tiny, mixed, alone, tmp_path, precision):
    model, data = tiny._replace(run=mixed / "run"), tiny.latents / "pictures" / "all"
    rounded = make(model, tmp_path / "index", data, f"precision={precision}", "modality=image")
    exact = {hit.id: hit.score for hit in found(Searcher(alone["image"], device="cpu"), [CIRCLE])}
    scores = {hit.id: hit.score for hit in found(Searcher(rounded, device="cpu"), [CIRCLE])}
    assert scores == pytest.approx(exact, abs=1e-3 if precision == "float16" else 1e-2)


@pytest.mark.parametrize("modality", ["image", "text"])
@pytest.mark.parametrize("queries", [[CIRCLE], [CIRCLE, BAR, Query(LIKE, "image_captions/all/image/07.png")]])
def test_a_modality_that_is_named_is_ranked_as_among_all_and_scored_as_alone(mixed, alone, modality, queries):
    searcher = Searcher(mixed / "index", device="cpu")
    named = found(searcher, queries, modality)
    of_all = [hit for hit in found(searcher, queries) if hit.modality == modality]
    assert [hit.id for hit in named] == [hit.id for hit in of_all]
    shifts = [one.score - other.score for one, other in zip(named, of_all, strict=True)]
    assert shifts == pytest.approx([shifts[0]] * len(shifts), abs=1e-6)
    if all(query.kind == "text" for query in queries):  # of which there is no item in the other index
        by_itself = {hit.id: hit.score for hit in found(Searcher(alone[modality], device="cpu"), queries)}
        assert {hit.id: hit.score for hit in named} == pytest.approx(by_itself, abs=1e-6)


@pytest.mark.parametrize("modality", [None, "image", "text"])
@pytest.mark.parametrize("weights", [(1.0, 1.0, 1.0), (2.5, -1.0, 0.5), (-1.0, -1.0, -3.0)])
def test_of_several_queries_constants_and_levels_are_added_up_as_cosines_are(tiny, mixed, modality, weights):
    queries = [CIRCLE, BAR, Query("image", tiny.files["image"][7])]
    queries = [query._replace(weight=weight) for query, weight in zip(queries, weights, strict=True)]
    searcher = Searcher(mixed / "index", device="cpu")
    wanted = by_definition(searcher, queries, open_trained(mixed / "run").hubs, {} if modality else LEVELS)
    scores = {hit.id: hit.score for hit in found(searcher, queries, modality)}
    assert scores == pytest.approx({item: wanted[item] for item in scores}, abs=1e-4)
    assert len(scores) == searcher.index.counts.get(modality, searcher.index.num_items)


def test_the_command_prints_the_scores_of_the_searcher(mixed, capsys):
    command = [CIRCLE.content, "--index", str(mixed / "index"), "--modality", "image", "-k", "3", "--json"]
    hits = run_command("search", command)
    wanted = found(Searcher(mixed / "index", device="cpu"), [CIRCLE], "image")[:3]
    assert [hit.score for hit in hits] == pytest.approx([hit.score for hit in wanted], abs=1e-6)
    printed = json.loads(capsys.readouterr().out)["results"]
    assert [result["score"] for result in printed] == pytest.approx([hit.score for hit in wanted], abs=1e-5)


def test_without_correction_a_named_modality_has_cosines(mixed):
    searcher = Searcher(mixed / "index", device="cpu", hub_correction=False)
    (vector,) = searcher.embed([CIRCLE])
    for hit in found(searcher, [CIRCLE], "text"):
        assert hit.score == pytest.approx(float(vector @ searcher.index.vectors([hit.position])[0]), abs=1e-6)


# What index.json says of levels


def edited(folder, out, change):
    shutil.copytree(folder, out)
    about = json.loads((out / INDEX).read_text())
    change(about)
    about.pop("sha256")
    (out / INDEX).write_text(json.dumps(about))
    return out


@pytest.mark.parametrize(
    "levels",
    [
        *({"text_to_image": level} for level in (math.nan, math.inf, -4.5, 10**400, "0.1", None, [0.1], True)),
        [0.1],
        "none",
        None,
    ],
)
def test_levels_that_somebody_hostile_wrote_are_damage(alone, tmp_path, levels):
    out = edited(alone["image"], tmp_path / "index", lambda about: about.update(hub_levels=levels))
    with pytest.raises(IndexFolderError, match=r"index\.json is damaged\. `fusemix verify` says what else is"):
        run_command("search", [CIRCLE.content, "--index", str(out)])


def test_levels_of_what_is_not_there_count_for_nothing(alone, tmp_path):
    odd = {"text_to_video": 1.0, "video_to_image": 1, "": -1.0}
    out = edited(alone["image"], tmp_path / "index", lambda about: about["hub_levels"].update(odd))
    wanted = found(Searcher(alone["image"], device="cpu"), [CIRCLE])
    assert found(Searcher(out, device="cpu"), [CIRCLE]) == wanted


def test_an_index_that_notes_no_levels_is_searched_as_it_ranks_and_added_to(tiny, mixed, alone, tmp_path):
    out = edited(alone["image"], tmp_path / "index", lambda about: about.pop("hub_levels"))
    assert read_description(out).hub_levels == {}
    as_given = {hit.id: hit.score for hit in found(Searcher(alone["image"], device="cpu"), [CIRCLE])}
    as_ranked = {item: score - LEVELS["text_to_image"] for item, score in as_given.items()}
    assert {hit.id: hit.score for hit in found(Searcher(out, device="cpu"), [CIRCLE])} == pytest.approx(
        as_ranked, abs=1e-6
    )
    make(tiny._replace(run=mixed / "run"), out, tiny.latents / "pictures" / "all", "modality=text")
    wanted = {hit.id: hit.score for hit in found(Searcher(mixed / "index", device="cpu"), [CIRCLE])}
    scores = {hit.id: hit.score for hit in found(Searcher(out, device="cpu"), [CIRCLE])}
    assert scores == pytest.approx(wanted, abs=1e-6)


def test_items_that_are_added_lie_at_the_levels_that_the_index_notes(tiny, mixed, alone, tmp_path):
    out = shutil.copytree(alone["image"], tmp_path / "index")
    remade = with_hubs(tiny.run, tmp_path / "run", {way: -level for way, level in LEVELS.items()})
    make(tiny._replace(run=remade), out, tiny.latents / "pictures" / "all", "modality=text")
    assert read_description(out).hub_levels == read_description(alone["image"]).hub_levels
    wanted = {hit.id: hit.score for hit in found(Searcher(mixed / "index", device="cpu"), [CIRCLE])}
    scores = {hit.id: hit.score for hit in found(Searcher(out, remade, device="cpu"), [CIRCLE])}
    assert scores == pytest.approx(wanted, abs=1e-6)
