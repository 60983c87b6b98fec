"""A large index, from 1,000 items on."""

import pytest

from fusemix.search import state, tuning


@pytest.fixture
def large_from_1000(monkeypatch):
    for place in (state, tuning):
        monkeypatch.setattr(place, "FLAT_BELOW", 1000)
    monkeypatch.setattr(tuning, "BITS_PER_LIST", 7)
