"""A large index, from 1,000 items on, and one whose items have something to be filtered by."""

import pytest
from table_samples import add, known, made_up

from fusemix.search import state, tuning
from fusemix.search.folder import Index


@pytest.fixture
def large_from_1000(monkeypatch):
    for place in (state, tuning):
        monkeypatch.setattr(place, "FLAT_BELOW", 1000)
    monkeypatch.setattr(tuning, "BITS_PER_LIST", 7)


@pytest.fixture(scope="module")
def filtered(tmp_path_factory):
    """The index, its vectors, and its items as plain rows."""
    folder = tmp_path_factory.mktemp("filtered")
    vectors, table = made_up(240)
    table, rows = known(table)
    add(folder, (vectors, table))
    return Index(folder), vectors, rows
