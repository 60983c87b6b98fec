from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from fusemix.errors import ConfigError
from fusemix.latents.loader import LatentData, gallery_of
from fusemix.latents.sets import LatentSet

ENCODERS = {"image": ["eyes"], "text": ["words"]}


def data_of(train: Path, validation: Path | None = None, **changes: object) -> LatentData:
    settings = {"holdout": 0.0, "pairs_per_step": 16, "seed": 0, **changes}
    opened = LatentSet(validation, ENCODERS) if validation else None
    return LatentData(LatentSet(train, ENCODERS), validation=opened, **settings)


def test_a_batch_holds_the_latents_of_linked_items(make_set):
    train = make_set("train")
    opened = LatentSet(train, ENCODERS)
    left, right = (torch.from_numpy(side.take(np.arange(len(side.table)))) for side in opened.sides)
    links = {tuple(link) for link in opened.links.tolist()}
    batches = list(data_of(train, make_set("validation")).train_dataloader())
    assert len(batches) == 256 // 16
    for batch in batches:
        for one, other in zip(batch.left, batch.right, strict=True):
            row = (left == one).all(dim=1).nonzero().item()
            column = (right == other).all(dim=1).nonzero().item()
            assert (row, column) in links


def test_every_epoch_has_an_order_of_its_own_that_can_be_had_again(make_set):
    data = data_of(make_set("train"), make_set("validation"))

    def epoch(number):
        data.trainer = SimpleNamespace(current_epoch=number)
        return torch.cat([batch.left for batch in data.train_dataloader()])

    assert torch.equal(epoch(3), epoch(3))
    assert not torch.equal(epoch(3), epoch(4))


def test_validation_gives_all_items_of_both_sides_in_order(make_set):
    validation = make_set("validation", num_left=40)
    opened = LatentSet(validation, ENCODERS)
    parts = list(data_of(make_set("train"), validation).val_dataloader())
    for side in opened.sides:
        got = torch.cat([part.latents for part in parts if part.modality == side.modality])
        assert torch.equal(got, torch.from_numpy(side.take(np.arange(len(side.table)))))


def test_a_holdout_takes_its_pairs_out_of_training(make_set):
    data = data_of(make_set("train"), holdout=0.25)
    assert len(data.links) == 192
    assert len(data.gallery.links) == 64
    assert not set(data.links[:, 0]) & set(data.gallery.left_rows)
    assert (
        data.gallery.left_rows[data.gallery.links[:, 0]] * 2 <= data.gallery.right_rows[data.gallery.links[:, 1]]
    ).all()


def test_choosing_on_a_test_split_is_refused(make_set):
    with pytest.raises(ConfigError, match="test, a test split. An epoch that is chosen on test makes the test figure"):
        data_of(make_set("train"), make_set("test"))


def test_a_batch_larger_than_the_data_is_refused_with_the_largest_that_fits(make_set):
    with pytest.raises(
        ConfigError, match=r"needs 300 pairs .* only 128 distinct items .* optim.batch_size to 64 or less"
    ):
        data_of(make_set("train"), make_set("validation"), pairs_per_step=300)


def test_a_holdout_of_nothing_is_refused(make_set):
    with pytest.raises(ConfigError, match="holds out none"):
        data_of(make_set("train", num_left=20), holdout=0.01)


def test_a_gallery_numbers_its_items_from_nought(make_set):
    opened = LatentSet(make_set("train", num_left=6), ENCODERS)
    gallery = gallery_of(opened, opened.links[[2, 3, 8]])
    assert gallery.left_rows.tolist() == [1, 4]
    assert gallery.links.tolist() == [[0, 0], [0, 1], [1, 2]]
