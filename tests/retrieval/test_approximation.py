import numpy as np
import pytest
from retrieval_samples import captioned, unit

from fusemix.errors import ConfigError
from fusemix.retrieval.approximation import DEFINITIONS, index_rows
from fusemix.retrieval.index import search_approximately, search_exactly
from fusemix.retrieval.metrics import measure
from fusemix.retrieval.results import belongs

KS = [1, 5]
LINKS = captioned(100, 4)
LEFT = unit(100, 16, 0)
RIGHT = (LEFT.repeat_interleave(4, dim=0) + 0.8 * unit(400, 16, 1)) / 1.3


def rows_of(indexes: dict[str, str], depth: int = 20) -> tuple[list[dict], dict[str, float]]:
    direction, _ = measure(LEFT, RIGHT, LINKS, ("image", "text"), KS)
    exact = search_exactly(LEFT.numpy(), RIGHT.numpy(), depth, use_gpu=False)

    def is_linked(positions: np.ndarray) -> np.ndarray:
        return belongs(LINKS, direction.ranks.queries, positions)

    return index_rows(direction, LEFT.numpy(), RIGHT.numpy(), is_linked, exact, indexes, KS), direction.figures


def test_an_index_that_looks_everywhere_loses_nothing():
    (row,), figures = rows_of({"IVF8,Flat": "nprobe=8"})
    assert (row["direction"], row["factory"], row["parameters"]) == ("image_to_text", "IVF8,Flat", "nprobe=8")
    assert row["exact_at_1"] == row["exact_at_10"] == 1.0
    assert row["metrics"] == {f"recall_at_{k}": pytest.approx(figures[f"recall_at_{k}"]) for k in KS}
    assert row["num_bytes"] > 400 * 16 * 4
    assert row["build_sec"] > 0
    assert row["search_ms_per_query"] > 0


def test_a_worse_index_says_how_much_it_loses():
    (flat, few, small), figures = rows_of({"Flat": "", "IVF16,Flat": "nprobe=1", "PQ4x4": ""})
    exact = search_exactly(LEFT.numpy(), RIGHT.numpy(), 20, use_gpu=False).positions.tolist()
    for row in (few, small):
        assert 0 < row["exact_at_10"] < 1
        assert row["metrics"]["recall_at_5"] <= figures["recall_at_5"]
        found = search_approximately(LEFT.numpy(), RIGHT.numpy(), 20, row["factory"], row["parameters"])
        lists = found.top.positions.tolist()
        same = [len(set(one[:10]) & set(other[:10])) for one, other in zip(lists, exact, strict=True)]
        assert row["exact_at_10"] == pytest.approx(np.mean(same) / 10)
        assert row["exact_at_1"] == np.mean([one[0] == other[0] for one, other in zip(lists, exact, strict=True)])
        for k in KS:
            hits = [any(item // 4 == q for item in row_[:k] if item >= 0) for q, row_ in enumerate(lists)]
            assert row["metrics"][f"recall_at_{k}"] == pytest.approx(np.mean(hits))
    assert small["num_bytes"] < flat["num_bytes"]
    assert flat["exact_at_10"] == 1.0


def test_of_shorter_lists_all_is_compared():
    (row,), _ = rows_of({"Flat": ""}, depth=5)
    assert row["exact_at_10"] == 1.0


def test_each_index_that_cannot_be_made_is_one_message():
    for indexes, message in (
        ({"Falt": ""}, "indexes: FAISS cannot make 'Falt' over 400 items of width 16"),
        ({"IVF8,Flat": "nprob=2"}, "indexes: FAISS cannot make 'IVF8,Flat' with 'nprob=2' over 400 items"),
        ({"IVF8,Flat": "nprobe=0"}, "indexes: FAISS cannot make 'IVF8,Flat' with 'nprobe=0' over 400 items"),
        ({"HNSW0": ""}, "indexes: 'HNSW0': FAISS would break off at 'HNSW0'. Give larger numbers."),
        ({"IVF1024,Flat": ""}, "indexes: FAISS cannot make 'IVF1024,Flat' over 400 items of width 16"),
    ):
        with pytest.raises(ConfigError, match=message) as found:
            rows_of(indexes)
        assert str(found.value).count("\n") == 0


def test_no_index_gives_no_row():
    assert rows_of({})[0] == []


def test_every_column_that_could_be_misread_is_defined():
    assert {"exact_at_1", "exact_at_10", "recall_by_index"} == DEFINITIONS.keys()
