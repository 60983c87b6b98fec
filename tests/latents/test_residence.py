import re

import numpy as np
import pytest
import torch
from latent_samples import pair_set, write_store

from fusemix.errors import ConfigError
from fusemix.latents import residence
from fusemix.latents.residence import choose, reside
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


@pytest.mark.parametrize(
    ("num_bytes", "expected", "why"),
    [(10, "device", "of .* GB that may be used there"), (10**9, "mapped", "do not fit into memory")],
)
def test_latents_live_in_memory_while_they_fit(num_bytes, expected, why, monkeypatch):
    monkeypatch.setattr(residence, "available_memory", lambda: 10**9)
    where, reason = choose("auto", num_bytes, CPU)
    assert where == expected
    assert re.search(why, reason)


def test_what_a_gpu_has_no_room_for_is_pinned_in_the_hosts_memory(monkeypatch):
    monkeypatch.setattr(residence, "available_memory", lambda: 10**9)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (10**8, 10**8))
    gpu = torch.device("cuda")
    assert [choose("auto", size, gpu)[0] for size in (10**7, 4 * 10**8, 9 * 10**8)] == ["device", "pinned", "mapped"]


def test_what_was_asked_for_is_done():
    assert choose("mapped", 10, CPU)[0] == "mapped"
    with pytest.raises(ConfigError, match="latents_on=pinned speeds up copies to a GPU, and there is none here"):
        choose("pinned", 10, CPU)
