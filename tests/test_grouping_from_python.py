"""`SearchIndex.search(group_duplicates=True)`: near duplicates are one hit, which names the others."""

import pytest
from removals import SIZE, index_of_pictures

import fusemix
from fusemix.config.searching import NEAR


@pytest.fixture(scope="module")
def opened(tiny, tmp_path_factory):
    return fusemix.SearchIndex(index_of_pictures(tiny, tmp_path_factory.mktemp("pictures")), device="cpu")


def by_definition(opened, hits):
    """Each hit belongs to the best one that leads and that it is near to, one after another."""
    vectors = {hit.id: opened._searcher.index.vectors([hit.position])[0] for hit in hits}
    groups = {}
    for hit in hits:
        leader = next((one for one in groups if vectors[one] @ vectors[hit.id] >= NEAR), None)
        groups.setdefault(leader or hit.id, []).extend([hit] if leader else [])
    return groups


@pytest.mark.parametrize("k", [2, SIZE])
def test_groups_are_the_best_hits_with_what_is_near_to_them(opened, k):
    plain = opened.search("a red bar", k=SIZE)
    groups = list(by_definition(opened, plain).items())
    assert any(others for _, others in groups) and len(groups) > 2
    found = opened.search("a red bar", k=k, group_duplicates=True)
    assert [hit.id for hit in found] == [leader for leader, _ in groups[:k]]
    if k == SIZE:
        assert [hit.duplicates for hit in found] == [others for _, others in groups]
        assert sorted([*found, *(one for hit in found for one in hit.duplicates)]) == sorted(plain)


def test_nothing_is_grouped_unless_it_is_asked_for(opened):
    plain = opened.search("a red bar", k=5)
    assert plain == opened.search("a red bar", k=5, group_duplicates=False)
    assert not any(hasattr(hit, "duplicates") for hit in plain)
    assert "almost the same" not in repr(plain) + plain._repr_html_()
    assert opened.search("a red bar", k=5, filter={"folder": "nowhere"}, group_duplicates=True) == []


def test_groups_show_themselves_and_are_a_column(opened):
    pandas = pytest.importorskip("pandas")
    found = opened.search(like="photos/12.png", k=3, group_duplicates=True)
    same = {found[0].id, *(hit.id for hit in found[0].duplicates)}
    assert same >= {"photos/12.png", "photos/13.png", "photos/14.png"}
    assert f"and {len(same) - 1} almost the same" in repr(found)
    assert f"and {len(same) - 1} almost the same" in found._repr_html_()
    table = found.to_pandas()
    assert isinstance(table, pandas.DataFrame)
    assert table["duplicates"].tolist() == [hit.duplicates for hit in found]
    assert "duplicates" not in opened.search("a red bar").to_pandas()
