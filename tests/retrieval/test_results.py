import json

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from retrieval_samples import drawn_links, unit

from fusemix.retrieval.evaluation import folds_of, search_folds, survey_folds
from fusemix.retrieval.results import Results, belongs, query_lines, results_of

LEFT, RIGHT = unit(12, 6, 0), unit(30, 6, 1)
LINKS = np.concatenate([drawn_links(11, 29, 40, 3), [[5, 28]]])
IDS = [f"picture-{i}" for i in range(12)], [f"text-{i}" for i in range(30)]


def measured(count: int = 1) -> tuple[Results, Results]:
    folds = folds_of((12, 30), np.unique(LINKS, axis=0), count)
    directions = survey_folds((LEFT, RIGHT), folds, ("image", "text"), [1, 3]).directions
    return results_of(directions, search_folds((LEFT, RIGHT), folds, k=6 if count == 1 else 4, use_gpu=False), LINKS)


@given(
    links=st.lists(st.tuples(st.integers(0, 6), st.integers(0, 9)), min_size=1, unique=True),
    found=st.lists(st.lists(st.integers(-1, 12), min_size=4, max_size=4), min_size=1, max_size=8),
)
@example(links=[(0, 3)], found=[[0, 1, 2, 3], [-1, 0, 1, 2]])  # what is empty is no item of the query before
def test_what_was_found_belongs_to_a_query_where_a_link_says_so(links, found):
    queries = np.arange(len(found)) % 7
    expected = [[(q, item) in links for item in row] for q, row in zip(queries.tolist(), found, strict=True)]
    assert belongs(np.array(links), queries, np.array(found)).tolist() == expected


def test_a_query_on_the_right_belongs_to_the_first_left_item_that_is_linked_to_it():
    images, texts = measured()
    assert images.owners.tolist() == images.direction.ranks.queries.tolist()
    expected = [min(LINKS[LINKS[:, 1] == q, 0].tolist()) for q in texts.direction.ranks.queries.tolist()]
    assert texts.owners.tolist() == expected
    assert (LINKS[:, 1] == 28).sum() >= 1


def test_linked_items_are_marked_in_both_directions():
    pairs = {tuple(link) for link in LINKS.tolist()}
    images, texts = measured()
    for row, q in enumerate(images.direction.ranks.queries.tolist()):
        assert images.is_linked[row].tolist() == [(q, item) in pairs for item in images.top.positions[row].tolist()]
    for row, q in enumerate(texts.direction.ranks.queries.tolist()):
        assert texts.is_linked[row].tolist() == [(item, q) in pairs for item in texts.top.positions[row].tolist()]
    assert images.is_linked.any()
    assert not images.is_linked.all()


@pytest.mark.parametrize("count", [1, 3])
def test_a_line_says_what_a_query_found_and_agrees_with_its_rank(count):
    for results, ids in zip(measured(count), (IDS, IDS[::-1]), strict=True):
        lines = [json.loads(json.dumps(line)) for line in query_lines(results, ids, IDS[0])]
        assert len(lines) == results.direction.counts["queries"]
        asked, given = (side.numpy() for side in ((LEFT, RIGHT) if ids is IDS else (RIGHT, LEFT)))
        for line in lines:
            assert line["direction"] == results.direction.name
            query = ids[0].index(line["query"])
            cosines = [float(asked[query] @ given[ids[1].index(item)]) for item in line["found"]]
            assert line["scores"] == pytest.approx(cosines, abs=2e-6)
            assert line["scores"] == sorted(line["scores"], reverse=True)
            first = next((place for place, linked in enumerate(line["is_linked"], 1) if linked), None)
            assert line["rank"] == first or (first is None and line["rank"] > len(line["found"]))
            assert line["first_linked"] in {
                IDS[0][a] if ids is not IDS else IDS[1][b] for a, b in LINKS if (a, b)[ids is not IDS] == query
            }
            cosine = float(asked[query] @ given[ids[1].index(line["first_linked"])])
            assert cosine == pytest.approx(results.direction.ranks.best[lines.index(line)], abs=2e-6)
            if first is not None and not results.direction.ranks.tied[lines.index(line)]:
                assert line["first_linked"] == line["found"][first - 1]
            assert line["left_item"] == (line["query"] if ids is IDS else IDS[0][results.owners[lines.index(line)]])
