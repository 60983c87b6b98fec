"""Benchmarks count a caption as often as it was written; a latent set holds each text once."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from evaluation_world import MIXING, World, evaluated
from hypothesis import given, settings
from hypothesis import strategies as st
from latent_samples import pair_set, write_store
from retrieval_samples import lattice, problems

from fusemix.errors import RunError
from fusemix.latents.galleries import Gallery, each_caption
from fusemix.latents.set_writer import write_set
from fusemix.reports.comparison.side_by_side import compare_runs, reasons_against
from fusemix.reports.reading import read_queries, read_report
from fusemix.retrieval.metrics import measure

KS = [1, 5]
NAMES = ("image_to_text", "text_to_image")
REPEATED = np.array([[item, item] for item in range(40)] + [[item, 40 + item // 4] for item in range(40)])
"""Forty pictures, each with a caption of its own and one that four pictures share."""


def expanded_ranks(left: torch.Tensor, right: torch.Tensor, links: np.ndarray) -> tuple[list[int], list[int]]:
    """By the matrix of all captions, one row each: rank of every item's first caption, and of every caption's item.

    In float64, one comparison at a time; what is not linked and scores at least as high comes first.
    """
    scores = (left.double() @ right.double().T).numpy()
    unlinked_texts = [text for text in range(len(right)) if text not in links[:, 1]]
    columns = [(int(text), int(item)) for item, text in links] + [(text, None) for text in unlinked_texts]
    of_items = []
    for item in sorted(set(links[:, 0].tolist())):
        own = max(scores[item, text] for text, owner in columns if owner == item)
        of_items.append(1 + sum(scores[item, text] >= own for text, owner in columns if owner != item))
    of_captions = [1 + sum(scores[:, text] >= scores[item, text]) - 1 for item, text in links]
    return of_items, of_captions


@settings(max_examples=60)
@given(problems(), st.randoms(use_true_random=False))
def test_every_caption_is_a_query_and_a_gallery_item_as_in_the_full_matrix(problem, random):
    left, right, links = problem
    times = np.array([random.choice([1, 1, 1, 2, 3]) for _ in links])
    gallery = Gallery(np.arange(len(left)), np.arange(len(right)), links, times)
    counted = each_caption(gallery)
    links = np.repeat(links, times, axis=0)
    one, other = measure(left, right[counted.right_rows], counted.links, ("image", "text"), [1])
    of_items, of_captions = expanded_ranks(left, right, links)
    assert one.ranks.ranks.tolist() == of_items
    assert sorted(other.ranks.ranks.tolist()) == sorted(of_captions)
    assert other.counts["queries"] == len(links) == gallery.num_captions
    assert one.counts["gallery"] == len(links) + len(right) - len(np.unique(links[:, 1]))


def test_captions_that_do_not_repeat_are_counted_as_ever():
    gallery = Gallery(np.arange(3), np.arange(5), np.array([[0, 2], [1, 0], [2, 4], [2, 1]]))
    assert sorted(each_caption(gallery).links.tolist()) == sorted(gallery.links.tolist())
    assert each_caption(gallery).right_rows.tolist() == gallery.right_rows.tolist()


def test_equal_captions_of_two_items_tie_and_count_against():
    """Both items lie on the shared text: in the published count each finds the other's copy first."""
    left, right, links = torch.eye(2)[[0, 0]], torch.eye(2)[[0]], np.array([[0, 0], [1, 0]])
    counted = each_caption(Gallery(np.arange(2), np.arange(1), links))
    one, other = measure(left, right[counted.right_rows], counted.links, ("image", "text"), [1])
    assert one.ranks.ranks.tolist() == other.ranks.ranks.tolist() == [2, 2]
    assert one.counts["tied_queries"] == other.counts["tied_queries"] == 2
    merged, _ = measure(left, right, links, ("image", "text"), [1])
    assert merged.ranks.ranks.tolist() == [1, 1]


def test_merging_repeated_captions_gives_higher_figures():
    """What a caption of two items finds is either of them when merged, and each once when published."""
    left, right = lattice(60, 16, 0), lattice(30, 16, 1)
    links = np.column_stack([np.arange(60), np.arange(60) // 2])
    counted = each_caption(Gallery(np.arange(60), np.arange(30), links))
    _, merged = measure(left, right, links, ("image", "text"), KS)
    _, published = measure(left, right[counted.right_rows], counted.links, ("image", "text"), KS)
    assert published.figures["mrr"] < merged.figures["mrr"]
    assert published.figures["mean_rank"] > merged.figures["mean_rank"]


@pytest.fixture(scope="module")
def world(evaluation_world, tmp_path_factory) -> World:
    """A run, and a test set in which captions repeat."""
    return World(evaluation_world.run, repeated_set(tmp_path_factory.mktemp("world") / "repeated"))


def repeated_set(folder: Path, times: np.ndarray | None = None) -> Path:
    pairs = replace(pair_set(REPEATED, "test"), times=times)
    write_set(folder, pairs, {"name": "made_up.module:factory", "options": {}})
    generator = np.random.default_rng(3)
    latents = generator.standard_normal((40, 12)).astype(np.float32)
    first = REPEATED[np.unique(REPEATED[:, 1], return_index=True)[1], 0]
    noise = generator.standard_normal((50, 8)).astype(np.float32)
    write_store(folder, pairs.left, "eyes", latents)
    write_store(folder, pairs.right, "words", latents[first] @ MIXING + 0.3 * noise)
    return folder


def measured(world: World, out: Path, *changes: str) -> dict:
    return evaluated(world, out, "ks=[1,5]", "allow_other_counts=true", *changes, test=world.sets)


@pytest.fixture(scope="module")
def published(world, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("published") / "report"
    measured(world, out, "protocol=clotho")
    return out


def test_a_named_protocol_counts_every_caption_and_shows_the_merged_figures_beside(world, published, tmp_path):
    report, plain = json.loads((published / "report.json").read_text()), measured(world, tmp_path / "plain")
    assert (report["counts"]["text_to_image"]["queries"], report["counts"]["image_to_text"]["gallery"]) == (80, 80)
    assert (plain["counts"]["text_to_image"]["queries"], plain["counts"]["image_to_text"]["gallery"]) == (50, 50)
    merged = report["others"][0]
    assert (merged["name"], merged["kind"]) == ("captions merged", "counting")
    assert merged["about"].endswith("Here 80 captions are 50 texts.")
    assert merged["metrics"] == pytest.approx(plain["metrics"])
    assert report["metrics"]["text_to_image/mrr"] < merged["metrics"]["text_to_image/mrr"]
    assert "captions merged" not in {other["name"] for other in plain["others"]}
    for name in ("report.md", "report.html"):
        assert "captions merged" in (published / name).read_text()


def test_queries_of_a_named_protocol_are_the_captions_each_with_its_own_item(published):
    report = read_report(published)
    queries = read_queries(report)["text_to_image"]
    asked = sorted(zip(queries.ids, queries.left_items, strict=True))
    assert asked == sorted((f"text-{text}", f"picture-{item}") for item, text in REPEATED)
    for direction in NAMES:
        ranks = read_queries(report)[direction].ranks
        assert report.figure(direction, "recall_at_1") == pytest.approx((ranks == 1).mean())
        low, high = report.interval(direction, "recall_at_1")
        assert low <= report.figure(direction, "recall_at_1") <= high


def test_runs_are_compared_over_all_captions_and_never_with_merged_ones(world, published, tmp_path):
    measured(world, tmp_path / "last", "protocol=clotho", "checkpoint=last")
    reports = [read_report(path) for path in (published, tmp_path / "last")]
    (made,) = compare_runs(reports, ["best", "last"], read_queries)
    assert not made.reasons
    difference = made.differences["text_to_image/recall_at_1"]
    figures = [report.figure("text_to_image", "recall_at_1") for report in reports]
    assert difference.difference == pytest.approx(figures[1] - figures[0])
    assert difference.num_items == 40
    measured(world, tmp_path / "plain", "protocol=plain")
    assert any("80 queries" in reason for reason in reasons_against(reports[0], read_report(tmp_path / "plain")))


def test_folds_hold_every_caption_of_their_items(world, tmp_path):
    report = measured(world, tmp_path / "folds", "protocol=coco_1k")
    assert report["counts"]["text_to_image"] | {"tied_queries": 0} == {
        "queries": 80, "gallery": 8, "links": 80, "tied_queries": 0, "without_link": 0
    }  # fmt: skip
    assert report["counts"]["image_to_text"]["gallery"] == 16
    assert report["others"][0]["name"] == "captions merged"


def test_a_caption_written_twice_for_one_item_is_two_queries_of_a_named_protocol_alone(world, tmp_path):
    """As where the copies are texts of their own, with equal latents."""
    times = np.ones(80, dtype=np.int64)
    times[[3, 50]] = 2, 3
    twice = World(world.run, repeated_set(tmp_path / "twice", times))
    report, plain = (measured(twice, tmp_path / name, f"protocol={name}") for name in ("clotho", "plain"))
    assert (report["counts"]["text_to_image"]["queries"], report["counts"]["image_to_text"]["gallery"]) == (83, 83)
    assert report["counts"]["image_to_text"]["links"] == 83
    assert (plain["counts"]["text_to_image"]["queries"], plain["counts"]["image_to_text"]["links"]) == (50, 80)
    assert report["others"][0]["about"].endswith("Here 83 captions are 50 texts.")
    assert report["others"][0]["metrics"] == pytest.approx(plain["metrics"])
    with pytest.raises(RunError, match="40 items with 83 captions"):
        evaluated(world, tmp_path / "other", "protocol=clotho", "ks=[1]", test=twice.sets)
