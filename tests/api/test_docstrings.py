"""Examples in docstrings run, and give what they say."""

import doctest
from importlib import import_module

import pytest

import fusemix

MODULES = ["fusemix.api.fit", "fusemix.api.run", "fusemix.api.search", "fusemix.latents.sets", "fusemix.models.model"]


@pytest.fixture(scope="module")
def things(tiny, picture_index):
    """What stands under these names in the examples."""
    return {
        "model": fusemix.load(tiny.run, device="cpu"),
        "run": fusemix.Run(tiny.run),
        "index": fusemix.SearchIndex(picture_index, device="cpu"),
        "latents": tiny.latents / "pictures" / "all",
    }


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_give_what_they_say(name, things):
    found = doctest.testmod(import_module(name), extraglobs=things, optionflags=doctest.ELLIPSIS)
    assert found.attempted > 0
    assert found.failed == 0
