import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from latent_samples import pair_set, write_store

from fusemix.errors import ConfigError
from fusemix.latents import batches
from fusemix.latents.galleries import gallery_of
from fusemix.latents.loader import LatentData, own_share
from fusemix.latents.set_writer import write_set
from fusemix.latents.sets import LatentSet
from fusemix.latents.training_sets import TrainingSet

ENCODERS = {"image": ["eyes"], "text": ["words"]}


def training_set_of(
    train: Path, validation: Path | None = None, pairs_per_step: int = 16, **changes: object
) -> TrainingSet:
    settings = {"holdout": 0.0, "weight": 1.0, "links_per_item": None, "seed": 0, **changes}
    opened = LatentSet(validation, ENCODERS) if validation else None
    training_set = TrainingSet("", LatentSet(train, ENCODERS), validation=opened, **settings)
    training_set.deal(pairs_per_step)
    training_set.reside("device", torch.device("cpu"))
    return training_set


def data_of(*training_sets: TrainingSet, parts: int = 1) -> LatentData:
    return LatentData(training_sets, parts=parts, latents_on="device", seed=0)


def lefts(data: LatentData, epoch: int = 0, **process: int) -> torch.Tensor:
    return torch.cat([batch.pairs.left for batch in data.batches(epoch, **process)])


@pytest.mark.parametrize("where", ["device", "mapped"])
def test_a_batch_holds_the_latents_of_linked_items(make_set, where):
    train = make_set("train")
    opened = LatentSet(train, ENCODERS)
    left, right = (torch.from_numpy(side.take(np.arange(len(side)))) for side in opened.sides)
    links = {tuple(link) for link in opened.links.tolist()}
    training_set = training_set_of(train, make_set("validation"))
    training_set.reside(where, torch.device("cpu"))
    drawn = list(data_of(training_set).batches(0))
    assert len(drawn) == 256 // 16
    for batch in drawn:
        for one, other in zip(*batch.pairs, strict=True):
            row = (left == one).all(dim=1).nonzero().item()
            column = (right == other).all(dim=1).nonzero().item()
            assert (row, column) in links


def test_batches_are_the_same_wherever_latents_live(make_set, monkeypatch):
    monkeypatch.setattr(batches, "BLOCK", 16)
    monkeypatch.setattr(batches, "WINDOW", 64)
    monkeypatch.setattr(batches, "WINDOW_IN_BATCHES", 2)
    training_set = training_set_of(make_set("train"), make_set("validation"))
    found = {}
    for where in ("device", "mapped"):
        training_set.reside(where, torch.device("cpu"))
        found[where] = lefts(data_of(training_set), 2)
    assert torch.equal(found["device"], found["mapped"])


def test_the_first_batch_of_an_epoch_is_known_by_its_hash_in_all_processes(make_set):
    data = data_of(training_set_of(make_set("train"), make_set("validation")))
    hashes = []
    for epoch, rank in ((0, 0), (0, 1), (1, 0)):
        data.trainer = SimpleNamespace(current_epoch=epoch, global_rank=rank, world_size=2, max_epochs=2)
        own = torch.cat([batch.pairs.left for batch in data.train_dataloader()])
        assert torch.equal(own, lefts(data, epoch, rank=rank, num_processes=2))
        hashes.append(data.first_batch)
    assert hashes[0] == hashes[1] != hashes[2]


def test_several_positives_come_block_after_block(make_set):
    train = make_set("train")
    opened = LatentSet(train, ENCODERS)
    left, right = (torch.from_numpy(side.take(np.arange(len(side)))) for side in opened.sides)
    batch = next(data_of(training_set_of(train, make_set("validation"), links_per_item=2)).batches(0))
    assert batch.pairs.right.shape == (32, 8)
    for place, one in enumerate(batch.pairs.left):
        row = (left == one).all(dim=1).nonzero().item()
        found = {(right == batch.pairs.right[place + at]).all(dim=1).nonzero().item() for at in (0, 16)}
        assert found == {2 * row, 2 * row + 1}


def test_every_epoch_has_an_order_of_its_own_that_can_be_had_again(make_set):
    data = data_of(training_set_of(make_set("train"), make_set("validation")))
    assert torch.equal(lefts(data, 3), lefts(data, 3))
    assert not torch.equal(lefts(data, 3), lefts(data, 4))
    data.trainer = SimpleNamespace(current_epoch=3, global_rank=0, world_size=1, max_epochs=4)
    assert torch.equal(torch.cat([batch.pairs.left for batch in data.train_dataloader()]), lefts(data, 3))


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("num_processes", [2, 4])
def test_the_shares_of_processes_make_up_the_batch_of_one(make_set, parts, num_processes):
    data = data_of(training_set_of(make_set("train"), make_set("validation")), parts=parts)
    whole = [batch.pairs.left.view(parts, -1, 12) for batch in data.batches(0)]
    shares = [
        [batch.pairs.left.view(parts, -1, 12) for batch in data.batches(0, rank=rank, num_processes=num_processes)]
        for rank in range(num_processes)
    ]
    for step, batch in enumerate(whole):
        assert torch.equal(torch.cat([share[step] for share in shares], dim=1), batch)


def test_a_share_takes_the_same_stretch_of_each_half():
    rows = np.arange(24).reshape(12, 2)
    assert own_share(rows, parts=2, rank=1, num_processes=3)[:, 0].tolist() == [4, 6, 16, 18]


def test_sets_take_turns_as_often_as_their_weights_say(make_set):
    validation = make_set("validation")
    training_sets = [
        training_set_of(make_set("train"), validation),
        training_set_of(make_set("more", seed=3), validation, weight=2.5),
    ]
    drawn = [batch.set_number for batch in data_of(*training_sets).batches(0)]
    assert drawn.count(0) == 16
    assert drawn.count(1) == 40
    assert drawn != sorted(drawn)
    assert drawn != [batch.set_number for batch in data_of(*training_sets).batches(1)]


def test_an_epoch_has_its_length_where_repeated_items_keep_a_pass_from_filling_it(tmp_path):
    links = np.column_stack([np.repeat([0, 1, 2, 3], [1, 1, 1, 21]), np.arange(24)])
    pairs = pair_set(links)
    write_set(tmp_path / "uneven", pairs, {"name": "made_up", "options": {}})
    for items, slug in zip(pairs.sides, ("eyes", "words"), strict=True):
        write_store(tmp_path / "uneven", items, slug, np.arange(len(items) * 2, dtype=np.float32).reshape(-1, 2))
    training_set = training_set_of(tmp_path / "uneven", tmp_path / "uneven", pairs_per_step=4)
    assert training_set.num_batches == len(list(data_of(training_set).batches(0))) == 6


def test_validation_gives_all_items_of_both_sides_in_order(make_set):
    validation = make_set("validation", num_left=40)
    opened = LatentSet(validation, ENCODERS)
    parts = list(data_of(training_set_of(make_set("train"), validation)).val_dataloader())
    for side in opened.sides:
        got = torch.cat([part.latents for part in parts if part.modality == side.modality])
        assert torch.equal(got, torch.from_numpy(side.take(np.arange(len(side)))))


def test_a_holdout_takes_its_pairs_out_of_training(make_set):
    training_set = training_set_of(make_set("train"), holdout=0.25)
    assert len(training_set.links.links) == 192
    assert training_set.gallery is not None
    assert len(training_set.gallery.links) == 64
    left_rows, right_rows, links, _ = training_set.gallery
    assert not set(training_set.links.links[:, 0]) & set(left_rows)
    assert (left_rows[links[:, 0]] * 2 <= right_rows[links[:, 1]]).all()


@pytest.mark.parametrize(
    "split", ["test", "Test", "TEST", "test2017", "testing", "karpathy-test_1k", "testA", "MiniTest"]
)
def test_choosing_on_a_test_split_is_refused_however_it_is_spelled_and_its_folder_called(make_set, split):
    with pytest.raises(ConfigError, match="dev, a test split. An epoch that is chosen on test makes the test figure"):
        training_set_of(make_set("train"), make_set("dev", split=split))


@pytest.mark.parametrize("split", ["validation", "val", "contest", "latest", "testimonials", "fold1"])
def test_a_split_that_is_none_by_its_name_is_chosen_on(make_set, split):
    assert training_set_of(make_set("train"), make_set("test", split=split)).gallery is not None


def test_a_batch_larger_than_the_data_is_refused_with_the_largest_that_fits(make_set):
    with pytest.raises(
        ConfigError, match=r"needs 300 pairs .* only about 128 such pairs .* optim.batch_size to 64 or less"
    ):
        training_set_of(make_set("train"), make_set("validation"), pairs_per_step=300)


def test_more_links_an_item_than_there_are_items_are_refused(make_set):
    with pytest.raises(ConfigError, match="links_per_item=1,000,000,000 is too many: .*fewer text items"):
        training_set_of(make_set("train"), make_set("validation"), links_per_item=10**9)


def test_the_batch_size_that_is_named_can_be_had(tmp_path):
    """One picture has every caption and one caption is of every picture: no three pairs share no item."""
    links = np.array([[0, j] for j in range(40)] + [[i, 0] for i in range(1, 40)])
    pairs = pair_set(links)
    write_set(tmp_path, pairs, {})
    for items, slug in zip(pairs.sides, ("eyes", "words"), strict=True):
        write_store(tmp_path, items, slug, np.ones((40, 4), dtype=np.float32))
    with pytest.raises(ConfigError, match=r"only about 2 such pairs at a time.* Set optim.batch_size to 1 or less"):
        training_set_of(tmp_path, pairs_per_step=3)
    assert training_set_of(tmp_path, pairs_per_step=2).num_batches >= 1


def test_a_holdout_of_nothing_is_refused(make_set):
    with pytest.raises(ConfigError, match="holds out none"):
        training_set_of(make_set("train", num_left=20), holdout=0.01)


def test_a_gallery_numbers_its_items_from_nought(make_set):
    opened = LatentSet(make_set("train", num_left=6), ENCODERS)
    gallery = gallery_of(opened, opened.links[[2, 3, 8]])
    assert gallery.left_rows.tolist() == [1, 4]
    assert gallery.links.tolist() == [[0, 0], [0, 1], [1, 2]]


def drawing() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("fusemix-order")]


def test_the_order_of_the_next_epoch_is_drawn_meanwhile_and_is_the_one_it_would_have_had(make_set, monkeypatch):
    made = make_set("train"), make_set("validation")
    expected = [lefts(data_of(training_set_of(*made)), epoch) for epoch in range(5)]
    by: dict[int, str] = {}

    def noted(self, batch_size, generator):
        by[len(by)] = threading.current_thread().name
        return drawn(self, batch_size, generator)

    data, drawn = data_of(training_set_of(*made)), batches.Links.batches
    monkeypatch.setattr(batches.Links, "batches", noted)
    data.draw_ahead(3)
    for epoch in (3, 4):  # a run that goes on after three epochs
        data.trainer = SimpleNamespace(current_epoch=epoch, global_rank=0, world_size=1, max_epochs=5)
        assert torch.equal(torch.cat([batch.pairs.left for batch in data.train_dataloader()]), expected[epoch])
    assert all(name.startswith("fusemix-order") for name in by.values())
    data.teardown("fit")
    assert not drawing()


def test_the_thread_that_draws_ends_where_a_run_breaks_off(make_set):
    data = data_of(training_set_of(make_set("train"), make_set("validation")))
    data.trainer = SimpleNamespace(current_epoch=0, global_rank=0, world_size=1, max_epochs=9)
    stream = iter(data.train_dataloader())
    next(stream)
    assert drawing()
    data.on_exception(KeyboardInterrupt())
    assert not drawing()


def test_a_further_pass_is_drawn_while_the_one_before_is_used(make_set):
    """The second pass of two and a half; what is drawn too early would lie about, and too late be waited for."""
    training_set = training_set_of(make_set("train"), make_set("validation"), weight=2.5)
    alone = np.concatenate(list(training_set.batches(1)))
    asked: list[int] = []

    class Maker(ThreadPoolExecutor):
        def submit(self, work, *args):
            asked.append(given)
            return super().submit(work, *args)

    found, given = [], 0
    with Maker(max_workers=1) as maker:
        for rows in training_set.batches(1, maker):
            found.append(rows)
            given += 1
    assert (np.concatenate(found) == alone).all()
    assert asked == [8, 24, 40][: len(asked)]
    assert len(asked) >= 2
