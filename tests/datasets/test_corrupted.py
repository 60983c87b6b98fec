"""Worse captions: what is exchanged and left out, and what stays."""

from collections import Counter

import numpy as np
import pytest

from fusemix.datasets import DATASETS
from fusemix.datasets.corrupted import exchanged, thinned
from fusemix.errors import DatasetError, UntrustedCodeError
from fusemix.parts.trust import named_by_data


def build(split="train", **options):
    return DATASETS.build("corrupted", {"of": "glyphs", **options}, split=split)


def said(pairs) -> dict[str, str]:
    ids, captions = pairs.left.table["id"].to_pylist(), pairs.right.table["caption"].to_pylist()
    return {ids[left]: captions[right] for left, right in pairs.links}


@pytest.fixture(scope="module")
def clean():
    return DATASETS.build("glyphs", {}, split="validation")


@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
def test_a_share_of_captions_is_exchanged_and_none_comes_back_to_its_own(share, clean):
    before, after = said(clean), said(build("validation", swapped=share, splits=["validation"]))
    changed = [item for item in before if before[item] != after[item]]
    assert len(changed) == round(share * len(before))
    assert Counter(after.values()) == Counter(before.values())


def test_links_of_several_captions_stay_links_each_once_and_none_is_an_old_one():
    rng = np.random.default_rng(0)
    for number in range(30):
        links = np.unique(rng.integers(0, [40, 60], (150, 2)), axis=0)
        names = [str(link) for link in links]
        found = exchanged(links, 0.4, names, number)
        before, after = {*map(tuple, links.tolist())}, {*map(tuple, found.tolist())}
        assert len(after) == len(links)
        assert len(after - before) == round(0.4 * len(links))
        for side in (0, 1):
            np.testing.assert_array_equal(np.bincount(links[:, side]), np.bincount(found[:, side]))


def test_a_larger_share_contains_a_smaller_one():
    links = np.stack([np.arange(100)] * 2, axis=1)
    names = [str(row) for row in range(100)]
    few, many = ({*np.flatnonzero(exchanged(links, share, names, 0)[:, 1] != links[:, 1])} for share in (0.2, 0.6))
    assert few < many


def test_words_are_left_out_with_their_probability_and_one_stays(clean):
    before, after = said(clean), said(build("validation", deleted=0.4, splits=["validation"]))
    counts = [(len(before[item].split()), len(after[item].split())) for item in before]
    assert all(0 < kept <= words for words, kept in counts)
    long = [one for one in counts if one[0] > 4]
    assert sum(kept for _, kept in long) / sum(words for words, _ in long) == pytest.approx(0.6, abs=0.05)
    assert thinned("one two", 1.0, "x") in ("one", "two")
    assert thinned("one  two", 0.0, "x") == "one  two"


def test_the_same_seed_gives_the_same_whatever_was_built_before():
    first = build("validation", swapped=0.3, deleted=0.3, splits=["validation"])
    build("validation", swapped=0.9, deleted=0.9, seed=5, splits=["validation"])
    again = build("validation", swapped=0.3, deleted=0.3, splits=["validation"])
    assert said(first) == said(again)
    assert said(first) != said(build("validation", swapped=0.3, deleted=0.3, seed=1, splits=["validation"]))


def test_other_splits_are_the_other_data_set_itself(clean):
    found = build("validation", swapped=1.0, deleted=0.5)
    assert (found.dataset, found.revision) == (clean.dataset, clean.revision)
    assert said(found) == said(clean)
    assert found.left.read(3).tobytes() == clean.left.read(3).tobytes()


def test_pictures_stay_those_of_their_items(clean):
    found = build("validation", swapped=0.5, deleted=0.5, splits=["val"])
    assert found.left.table.equals(clean.left.table)
    assert found.left.read(7).tobytes() == clean.left.read(7).tobytes()


def test_what_cannot_be_corrupted_is_told(tmp_path):
    with pytest.raises(DatasetError, match=r"`of` is \{'nome': 'x'\}, but must be the name"):
        build(of={"nome": "x"})
    (tmp_path / "lines.txt").write_text("a b\nc d\n")
    with pytest.raises(DatasetError, match="texts has no captions"):
        build(of={"name": "texts", "options": {"file": str(tmp_path / "lines.txt")}})
    with pytest.raises(DatasetError, match=r"[02] links are too few.*options\.swapped"):
        exchanged(np.array([[0, 0], [0, 1]]), 1.0, ["a", "b"], 0)
    with named_by_data(), pytest.raises(UntrustedCodeError, match=r"somebody\.s:data"):
        build(of="somebody.s:data")
