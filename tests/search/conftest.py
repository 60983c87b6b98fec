"""A large index, from 1,000 items on."""

import pytest

from fusemix.search import folder as folder_module
from fusemix.search import tuning


@pytest.fixture
def large_from_1000(monkeypatch):
    for place in (folder_module, tuning):
        monkeypatch.setattr(place, "FLAT_BELOW", 1000)
    monkeypatch.setattr(tuning, "BITS_PER_LIST", 7)
