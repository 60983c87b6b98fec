"""Queries that count by their weights, and near duplicates that are one result, asked by programs."""

import pytest
from hub_samples import by_definition
from index_samples import asked

from fusemix.config.searching import NEAR
from fusemix.models.queries import Query

RESULT = ["position", "score", "id", "modality", "path", "captions", "media"]


def test_queries_count_by_their_weights_and_links_keep_them(server, searcher):
    item = searcher.index.items([40])[0]["id"]
    queries = [{"text": "a tone", "weight": 2}, {"text": "w"}, {"like": item, "weight": -0.25}]
    answer = server.search({"queries": queries, "k": 84, "modality": "any"}).data
    hubs = searcher.embedder.trained.hubs
    asks = [Query("text", "a tone", weight=2.0), Query("text", "w"), Query("like", item, weight=-0.25)]
    wanted = by_definition(searcher, asks, hubs, hubs.levels)
    assert {found["id"]: found["score"] for found in answer["results"]} == pytest.approx(wanted, abs=1e-5)
    assert answer["query"]["link"] == "/?q=a+tone&w=2&q=w&like=audio_captions%2Fall%2Faudio%2F04.wav&w=-0.25&of=any"
    assert [part.get("weight") for part in answer["query"]["parts"]] == [2, None, -0.25]
    alone = server.search({"text": "a tone", "weight": -1, "k": 84, "modality": "any"}).data["results"]
    wanted = by_definition(searcher, [Query("text", "a tone", weight=-1.0)], hubs, hubs.levels)
    assert {found["id"]: found["score"] for found in alone} == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize(("k", "modality"), [(84, None), (12, None), (3, None), (20, "image")])
def test_near_duplicates_are_one_result_that_names_the_others_where_that_is_asked_for(server, searcher, k, modality):
    query = {"text": "bar"} | ({"modality": modality} if modality else {})
    every = server.search({**query, "k": 84}).data["results"]
    assert all("duplicates" not in one for one in every)
    vectors = dict(zip(range(84), searcher.index.vectors(range(84)), strict=True))
    wanted: dict[int, list[int]] = {}
    for one in every:
        near = [lead for lead in wanted if is_near(searcher, vectors, lead, one["position"])]
        wanted.setdefault(near[0] if near else one["position"], []).append(one["position"])
    results = server.search({**query, "k": k, "group_duplicates": True}).data["results"]
    found = {one["position"]: [one["position"], *(other["position"] for other in one["duplicates"])] for one in results}
    assert list(found.items()) == list(wanted.items())[:k]
    by_position = {one["position"]: one for one in every}
    told = [(one, by_position[one["position"]]) for result in results for one in (result, *result["duplicates"])]
    for one, alone in told:
        assert one["score"] == pytest.approx(alone["score"], abs=1e-5)
        assert {name: one[name] for name in RESULT if name != "score"} == {
            name: alone[name] for name in RESULT if name != "score"
        }


def is_near(searcher, vectors, one, other):
    kinds = [item["modality"] for item in searcher.index.items([one, other])]
    return kinds[0] == kinds[1] and vectors[one] @ vectors[other] >= NEAR


def test_a_text_of_a_program_is_words_whatever_they_look_like(server, searcher):
    text = '"bar" - "circle"'
    (expected,) = searcher.search(asked(searcher, [Query("text", text)]), 5)
    assert [found["id"] for found in server.search({"text": text, "k": 5, "modality": "any"}).data["results"]] == [
        hit.id for hit in expected
    ]
