"""How OpenMP's threads wait is chosen for people, unless they have chosen."""

import os

import pytest

from fusemix.machine.openmp import VARIABLES, wait_without_spinning


@pytest.fixture
def environment(monkeypatch):
    for name in VARIABLES:
        monkeypatch.setenv(name, "")  # so that it is put back
        monkeypatch.delenv(name)
    return monkeypatch


def test_threads_sleep_where_nobody_has_chosen(environment):
    wait_without_spinning()
    assert os.environ["OMP_WAIT_POLICY"] == "passive"


@pytest.mark.parametrize("name", VARIABLES)
def test_who_has_chosen_keeps_it(environment, name):
    environment.setenv(name, "1")
    before = dict(os.environ)
    wait_without_spinning()
    assert dict(os.environ) == before
