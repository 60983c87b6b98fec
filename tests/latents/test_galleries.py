from dataclasses import replace

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st
from latent_samples import pair_set, write_store

from fusemix.latents.galleries import Gallery, SideItems, gallery_of, sampled
from fusemix.latents.set_writer import write_set
from fusemix.latents.sets import LatentSet


def gallery(links: np.ndarray, num_left: int, num_right: int) -> Gallery:
    times = 1 + np.arange(len(links))
    return Gallery(100 + np.arange(num_left), 200 + np.arange(num_right), links, times)


@st.composite
def galleries(draw):
    pairs = draw(st.sets(st.tuples(st.integers(0, 15), st.integers(0, 25)), min_size=1, max_size=80))
    return gallery(np.array(sorted(pairs), dtype=np.int64), 16, 26)


@settings(deadline=None)
@given(whole=galleries(), most=st.integers(1, 25), seed=st.integers(0, 9))
def test_of_a_sampled_left_item_every_link_is_there_and_no_side_is_larger_than_asked_for(whole, most, seed):
    part = sampled(whole, most, seed)
    assert len(part.left_rows) <= most
    assert len(part.right_rows) <= most or len(part.left_rows) == 1
    written = {
        (100 + left, 200 + right): times for (left, right), times in zip(whole.links.tolist(), whole.times, strict=True)
    }
    rows = np.column_stack([part.left_rows[part.links[:, 0]], part.right_rows[part.links[:, 1]]])
    found = dict(zip(map(tuple, rows.tolist()), part.times, strict=True))
    lefts = {left for left, _ in found}
    assert found == {link: times for link, times in written.items() if link[0] in lefts}
    assert lefts == set(part.left_rows.tolist())
    assert {right for _, right in found} == set(part.right_rows.tolist())


def test_a_sample_is_the_same_for_a_seed_and_takes_as_many_as_it_may():
    links = np.column_stack([np.repeat(np.arange(1000), 5), np.arange(5000)])
    one, same, other = (sampled(gallery(links, 1000, 5000), 400, seed) for seed in (0, 0, 1))
    assert (one.left_rows == same.left_rows).all()
    assert set(one.left_rows) != set(other.left_rows)
    assert (len(one.left_rows), len(one.right_rows)) == (80, 400)


def test_of_no_more_items_nothing_is_left_out_not_even_those_without_a_link():
    whole = gallery(np.array([[0, 0]]), 300, 400)
    assert sampled(whole, 400, 0) is whole


def test_items_that_take_part_give_ids_labels_and_latents_by_their_positions(tmp_path):
    pairs = pair_set(np.array([[0, 0], [1, 1], [2, 2], [3, 3]]))
    titles = pa.table({"id": list("abcd"), "caption": ["", "", "", "a cup"], "title": ["", "mug", "", "no"]})
    pairs = replace(pairs, left=replace(pairs.left, table=titles))
    vectors = np.arange(12, dtype=np.float32).reshape(4, 3)
    write_set(tmp_path / "set", pairs, {"name": "made_up", "options": {}})
    for items in pairs.sides:
        write_store(tmp_path / "set", items, "e", vectors)
    latent_set = LatentSet(tmp_path / "set", {"image": ["e"], "text": ["e"]})
    left, right = gallery_of(latent_set, np.array([[1, 1], [3, 2]])).of(latent_set)
    assert (left.modality, right.modality) == ("image", "text")
    assert (left.ids, [left.id(1)], len(left)) == (["b", "d"], ["d"], 2)
    assert [left.label(place) for place in (0, 1)] == ["mug", "a cup"]
    assert right.label(1) == "caption 2"
    assert (right.latents() == vectors[[1, 2]]).all()
    assert (left.latents(1, 9) == vectors[[3]]).all()
    assert SideItems(latent_set.left, np.array([2, 0])).label(0) == ""
