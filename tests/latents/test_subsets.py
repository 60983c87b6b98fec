from dataclasses import replace

import numpy as np
import pytest
from latent_samples import pair_set, write_store

from fusemix.disk.files import read_json, write_json
from fusemix.errors import ConfigError, LatentStoreError
from fusemix.interfaces import Rejected
from fusemix.latents.galleries import gallery_of
from fusemix.latents.inspection import set_facts
from fusemix.latents.links import LinkTable
from fusemix.latents.overlap import hold_the_same
from fusemix.latents.set_writer import damaged_files, write_set
from fusemix.latents.sets import LatentSet
from fusemix.latents.subsets import (
    is_subset,
    require_other_folder,
    require_whole_set,
    subset_description,
    write_subset,
)

LINKS = np.array([[0, 0], [0, 1], [1, 2], [2, 3], [2, 1], [3, 4]])
SOURCE = {"name": "made_up", "options": {}}


def latents(rows: int, dim: int) -> np.ndarray:
    return np.random.default_rng(rows).standard_normal((rows, dim)).astype(np.float32)


@pytest.fixture
def whole(tmp_path):
    pairs = pair_set(LINKS)
    write_set(tmp_path / "set", pairs, SOURCE)
    write_store(tmp_path / "set", pairs.left, "eyes", latents(4, 6))
    write_store(tmp_path / "set", pairs.right, "words", latents(5, 5))
    return tmp_path / "set"


def chosen(whole, out, places, times=None):
    of = LatentSet(whole)
    table = LinkTable(of.links[places], times)
    write_subset(out, table, subset_description(of, table, {"asked": {"method": "by hand"}}, out))
    return out


def test_a_subset_has_its_own_links_and_the_items_and_latents_of_the_whole(whole, tmp_path):
    opened = LatentSet(chosen(whole, tmp_path / "some", [1, 3]))
    assert opened.links.tolist() == [[0, 1], [2, 3]]
    assert opened.left.table["id"].to_pylist() == LatentSet(whole).left.table["id"].to_pylist()
    assert (opened.left.take(np.array([2])) == latents(4, 6)[[2]]).all()
    assert opened.name == "made_up/train"
    assert sorted(path.name for path in (tmp_path / "some").iterdir()) == ["links.parquet", "set.json"]


def test_only_items_that_its_links_name_take_part(whole, tmp_path):
    opened = LatentSet(chosen(whole, tmp_path / "some", [1, 3]))
    assert opened.left.valid.tolist() == [True, False, True, False]
    gallery = gallery_of(opened)
    assert [rows.tolist() for rows in gallery.rows] == [[0, 2], [1, 3]]
    assert gallery.links.tolist() == [[0, 0], [1, 1]]
    facts = set_facts(tmp_path / "some")
    assert facts.items["text"]["id"].to_pylist() == ["text-1", "text-3"]
    assert [store.name for store in facts.stores] == ["eyes", "words"]


def test_items_without_latent_are_counted_where_they_take_part(tmp_path):
    pairs = pair_set(LINKS)
    write_set(tmp_path / "set", pairs, SOURCE)
    rejected = [Rejected(f"picture-{row}", "decode", "broken") for row in (1, 3)]
    write_store(tmp_path / "set", pairs.left, "eyes", latents(4, 6), rejected)
    write_store(tmp_path / "set", pairs.right, "words", latents(5, 5))
    of = LatentSet(tmp_path / "set", {"image": [], "text": []})
    table = LinkTable(of.links[[0, 2]])
    write_subset(tmp_path / "some", table, subset_description(of, table, {}, tmp_path / "some"))
    opened = LatentSet(tmp_path / "some")
    assert opened.links.tolist() == [[0, 0]]
    assert opened.num_unusable == 1
    assert LatentSet(tmp_path / "set").num_unusable == 2


def test_a_subset_of_a_subset_leads_to_the_whole(whole, tmp_path):
    chosen(whole, tmp_path / "some", [1, 3, 5])
    fewer = LatentSet(chosen(tmp_path / "some", tmp_path / "deep" / "fewer", [0, 2]))
    assert fewer.links.tolist() == [[0, 1], [3, 4]]
    assert fewer.items_folder == whole.resolve()


def test_the_two_may_move_together_and_not_apart(whole, tmp_path):
    chosen(whole, tmp_path / "some", [1, 3])
    (tmp_path / "elsewhere").mkdir()
    for name in ("set", "some"):
        (tmp_path / name).rename(tmp_path / "elsewhere" / name)
    assert len(LatentSet(tmp_path / "elsewhere" / "some").links) == 2
    (tmp_path / "elsewhere" / "some").rename(tmp_path / "some")
    with pytest.raises(LatentStoreError, match=r"some is a subset of .*set, which is not there\. Bring it back, or ch"):
        LatentSet(tmp_path / "some")


def test_a_whole_that_has_other_items_by_now_is_refused(whole, tmp_path):
    chosen(whole, tmp_path / "some", [1, 3])
    about = read_json(whole / "set.json")
    write_json(whole / "set.json", {**about, "left": {**about["left"], "sha256": "0" * 64}})
    with pytest.raises(LatentStoreError, match="which holds other items by now"):
        LatentSet(tmp_path / "some")


def test_a_subset_that_names_itself_or_another_subset_is_refused(whole, tmp_path):
    some = chosen(whole, tmp_path / "some", [1, 3])
    for place in (".", "../set/../some", "../other"):
        chosen(whole, tmp_path / "other", [1])
        write_json(some / "set.json", {**read_json(some / "set.json"), "items_of": place})
        with pytest.raises(LatentStoreError, match="holds other items by now"):
            LatentSet(some)


def test_links_that_were_changed_are_found(whole, tmp_path):
    some = chosen(whole, tmp_path / "some", [1, 3])
    assert damaged_files(some, read_json(some / "set.json"), read_back=True) == {}
    table = LinkTable(np.array([[0, 0], [1, 1]]))
    write_subset(some, table, read_json(some / "set.json"))
    assert list(damaged_files(some, read_json(some / "set.json"), read_back=True)) == ["links.parquet"]
    with pytest.raises(LatentStoreError, match=r"links\.parquet"):
        _ = LatentSet(some).links


def test_numbers_of_times_come_along(tmp_path):
    pairs = replace(pair_set(LINKS), times=np.array([1, 2, 1, 1, 3, 1]))
    write_set(tmp_path / "set", pairs, SOURCE)
    write_store(tmp_path / "set", pairs.left, "eyes", latents(4, 6))
    write_store(tmp_path / "set", pairs.right, "words", latents(5, 5))
    opened = LatentSet(chosen(tmp_path / "set", tmp_path / "some", [1, 4], np.array([2, 3])))
    assert opened.link_table.times.tolist() == [2, 3]
    assert gallery_of(opened).num_captions == 5


def test_two_subsets_of_one_set_are_not_the_same_set(whole, tmp_path):
    one, other = (LatentSet(chosen(whole, tmp_path / name, places)) for name, places in (("a", [0]), ("b", [5])))
    assert not hold_the_same(one, other)
    assert hold_the_same(one, LatentSet(tmp_path / "a"))


def test_a_subset_does_not_lie_where_its_items_do_nor_takes_latents(whole, tmp_path):
    of = LatentSet(chosen(whole, tmp_path / "some", [1, 3]))
    for out in (whole, whole / "below", tmp_path, tmp_path / "some"):
        with pytest.raises(ConfigError, match="where the set that is chosen from lies"):
            require_other_folder(out, of)
    require_other_folder(tmp_path / "third", of)
    with pytest.raises(
        LatentStoreError, match=r"some is a subset, which holds links alone\. Put the latents into .*set"
    ):
        require_whole_set(tmp_path / "some")
    require_whole_set(whole)
    assert not is_subset(whole)
