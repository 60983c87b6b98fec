import numpy as np
import pytest
from latent_samples import learnable_set

from fusemix.latents import overlap
from fusemix.latents.galleries import SideItems
from fusemix.latents.overlap import shared_items
from fusemix.latents.sets import LatentSet

ENCODERS = {"image": ["eyes"], "text": ["words"]}


@pytest.mark.parametrize("at_once", [7, 65_536])
@pytest.mark.parametrize("place", [0, 1])
def test_an_item_is_shared_where_its_name_and_its_latent_are(tmp_path, monkeypatch, place, at_once):
    """Names are those of their places, and latents of the same seed are alike up to the smaller set's end."""
    monkeypatch.setattr(overlap, "ROWS_AT_ONCE", at_once)
    train = LatentSet(learnable_set(tmp_path, "train", num_left=50), ENCODERS).sides[place]
    chosen_on = LatentSet(learnable_set(tmp_path, "validation", num_left=50), ENCODERS).sides[place]
    trained, rows = np.arange(5, len(train), 2), np.arange(3, 20)
    assert shared_items(train, trained, SideItems(chosen_on, rows)).tolist() == [
        row >= 5 and row % 2 == 1 for row in rows
    ]


def test_pictures_that_only_share_a_name_are_others(tmp_path):
    train = LatentSet(learnable_set(tmp_path, "train"), ENCODERS).left
    other = LatentSet(learnable_set(tmp_path, "validation", seed=1), ENCODERS).left
    every = np.arange(len(train))
    assert not shared_items(train, every, SideItems(other, every)).any()
