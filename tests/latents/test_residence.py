import re
from collections.abc import Callable

import numpy as np
import pytest
import torch
from latent_samples import pair_set, write_store

from fusemix.errors import ConfigError
from fusemix.latents import residence
from fusemix.latents.residence import StepBytes, choose, reside
from fusemix.latents.set_writer import write_set
from fusemix.latents.sets import LatentSet

CPU = torch.device("cpu")


@pytest.fixture
def side(tmp_path):
    """A side of 300 items with latents of two encoders."""
    pairs = pair_set(np.column_stack([np.arange(300), np.arange(300)]))
    write_set(tmp_path, pairs, {"name": "made_up", "options": {}})
    generator = np.random.default_rng(0)
    for slug, dim in (("eyes", 5), ("more", 3)):
        write_store(
            tmp_path, pairs.left, slug, generator.standard_normal((300, dim)).astype(np.float16), dtype="float16"
        )
    return LatentSet(tmp_path, {"image": ["eyes", "more"], "text": []}).left


@pytest.mark.parametrize("where", ["device", "mapped"])
def test_rows_come_in_the_order_asked_for_wherever_they_live(side, where, monkeypatch):
    monkeypatch.setattr(residence, "ROWS_AT_ONCE", 64)
    rows = np.array([299, 0, 70, 70, 5, 128])
    read: list[int] = []
    found = reside(side, where, CPU, read.append).take(rows).values
    assert sum(read) == (300 if where == "device" else 0)
    assert found.dtype == torch.float16
    assert torch.equal(found, torch.from_numpy(side.take(rows)))


SMALL = StepBytes(10**6, 10**6)
GB = 10**9


@pytest.fixture
def gpu(monkeypatch) -> Callable[[float], torch.device]:
    """A GPU with so many GB free, in a machine with 100."""

    def of(size: float) -> torch.device:
        monkeypatch.setattr(residence, "available_memory", lambda: 100 * GB)
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (int(size * GB), int(size * GB)))
        return torch.device("cuda")

    return of


@pytest.mark.parametrize(
    ("num_bytes", "expected", "why"),
    [(10, "device", "of .* GB that may be used there, beside 0.0 GB"), (10**9, "mapped", "do not fit into memory")],
)
def test_latents_live_in_memory_while_they_fit(num_bytes, expected, why, monkeypatch):
    monkeypatch.setattr(residence, "available_memory", lambda: 10**9)
    found = choose("auto", num_bytes, SMALL, CPU)
    assert found.where == expected
    assert not found.recompute
    assert re.search(why, " ".join(found.told))


def test_what_a_gpu_has_no_room_for_lives_in_the_hosts_memory(gpu):
    found = [choose("auto", size * GB, SMALL, gpu(24)).where for size in (20, 40, 90)]
    assert found == ["device", "pinned", "mapped"]


def test_latents_make_room_for_a_step(gpu):
    """60 % of what was free could be more than a step leaves."""
    step = StepBytes(held=10 * GB, recomputed=3 * GB)
    found = [choose("auto", size * GB, step, gpu(24)) for size in (11, 12)]
    assert [one.where for one in found] == ["device", "pinned"]
    assert not any(one.recompute for one in found)


@pytest.mark.parametrize(
    ("where", "size", "expected"), [("auto", 0.5, "device"), ("auto", 3, "pinned"), ("device", 3, "device")]
)
def test_what_a_step_has_no_room_to_hold_is_computed_again_and_said(where, size, expected, gpu):
    step = StepBytes(held=30 * GB, recomputed=20 * GB)
    found = choose(where, int(size * GB), step, gpu(24))
    assert (found.where, found.recompute) == (expected, True)
    assert re.search("computed a second time.* would take about 30.0 GB", found.told[1])
    is_tight = expected == "device" and size == 3
    assert [bool(re.search("if memory runs out, give latents_on=auto", line)) for line in found.told[2:]] == [
        True
    ] * is_tight


def test_nothing_is_computed_again_that_makes_no_room(gpu):
    step = StepBytes(held=30 * GB, recomputed=30 * GB)
    found = choose("auto", 1, step, gpu(24))
    assert not found.recompute
    assert re.search("a step takes about 30.0 GB, and 21.6 GB are free: .* lower optim.batch_size", found.told[1])


def test_a_cpu_computes_again_rather_than_run_out_of_memory(monkeypatch):
    monkeypatch.setattr(residence, "available_memory", lambda: 10 * GB)
    step = StepBytes(held=8 * GB, recomputed=2 * GB)
    found = [choose("auto", size * GB, step, CPU) for size in (1, 2)]
    assert [(one.where, one.recompute) for one in found] == [("device", False), ("mapped", False)]
    assert choose("auto", 5 * GB, StepBytes(12 * GB, 2 * GB), CPU)[:2] == ("device", True)


def test_what_was_asked_for_is_done():
    assert choose("mapped", 10, SMALL, CPU).where == "mapped"
    with pytest.raises(ConfigError, match="latents_on=pinned speeds up copies to a GPU, and there is none here"):
        choose("pinned", 10, SMALL, CPU)
