"""Errors that are the machine's: they pass, or they end the run; those of an item set it aside."""

import email.message
import errno
import io
import os
import urllib.error
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
import requests
import torch
from extracting import Letters, items_of, run, texts_of_all_lengths
from huggingface_hub import errors

from fusemix.encoders import decoding, trouble
from fusemix.errors import EncoderError, MachineError
from fusemix.interfaces import Items

NUMBERS = (
    "ESTALE",
    "EIO",
    "EMFILE",
    "ENFILE",
    "EAGAIN",
    "ETIMEDOUT",
    "ECONNRESET",
    "EINTR",
    "ENOMEM",
    "EBUSY",
    "EHOSTDOWN",
)


def of_the_hub(status):
    response = errors.Response(status)
    response.request = "GET"
    return errors.HfHubHTTPError(str(status), response=response)


def by_http(status):
    return urllib.error.HTTPError("https://example.org/3.jpg", status, "", email.message.Message(), io.BytesIO())


def wrapped(error):
    try:
        raise ValueError("cannot be decoded") from error
    except ValueError as outer:
        return outer


MACHINES = {
    **{name: OSError(getattr(errno, name), os.strerror(getattr(errno, name))) for name in NUMBERS},
    "memory": MemoryError(),
    "allocator": RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
    "connection": ConnectionResetError("peer"),
    "timeout": TimeoutError("timed out"),
    "hub": of_the_hub(503),
    "too-often": of_the_hub(429),
    "urllib": by_http(502),
    "network": requests.exceptions.ConnectTimeout("timed out"),
    "wrapped": wrapped(OSError(errno.EMFILE, "Too many open files")),
}
ITEMS = {
    "gone": FileNotFoundError(errno.ENOENT, "No such file or directory", "3.jpg"),
    "locked": PermissionError(errno.EACCES, "Permission denied", "3.jpg"),
    "folder": IsADirectoryError(errno.EISDIR, "Is a directory"),
    "name": OSError(errno.ENAMETOOLONG, "File name too long"),
    "truncated": OSError("image file is truncated (3 bytes not processed)"),
    "value": ValueError("not a picture"),
    "not-found": by_http(404),
    "not-on-the-hub": of_the_hub(404),
    "wrapped": wrapped(OSError("broken data stream")),
}
machines = pytest.mark.parametrize("error", MACHINES.values(), ids=MACHINES)


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch):
    monkeypatch.setattr(trouble, "WAITS_SEC", (0.0, 0.0, 0.0))


@dataclass
class Failing:
    """Reads texts; one row raises so often."""

    raws: list
    error: Exception
    times: float = float("inf")
    row: int = 5

    def __call__(self, row):
        if row == self.row and self.times > 0:
            self.times -= 1
            raise self.error
        return self.raws[row]


def failing(error, times=float("inf"), count=20):
    texts = texts_of_all_lengths(count)
    return Items("text", items_of("text", texts).table, Failing(texts, error, times)), texts


@machines
def test_an_error_of_the_machine_that_passes_costs_nothing(error):
    items, texts = failing(error, times=3)
    (encoded,) = run(items, Letters())
    assert not encoded.rejected
    assert encoded.latents[:, 0].tolist() == [len(text) for text in texts]


@pytest.mark.parametrize("name", [name for name in MACHINES if name not in ("ESTALE", "EIO")])
def test_an_error_of_the_machine_that_stays_ends_the_run_and_sets_nothing_aside(name):
    error = MACHINES[name]
    with pytest.raises(MachineError, match=r"'item-5' .*stage: read.* 4 tries .*nothing was set aside.*goes on where"):
        run(failing(error)[0], Letters())


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("name", ["ESTALE", "EIO"])
def test_a_file_that_cannot_be_read_among_others_that_can_is_set_aside_by_itself(name, workers):
    items, texts = failing(MACHINES[name])
    (encoded,) = run(items, Letters(), num_workers=workers)
    (rejected,) = encoded.rejected
    assert (rejected.id, rejected.stage) == ("item-5", "read")
    assert f"OSError: [Errno {getattr(errno, name)}]" in rejected.reason
    assert np.isfinite(encoded.latents[:, 0]).sum() == len(texts) - 1


@pytest.mark.parametrize("first_bad", [0, 5, 19])
def test_a_disk_that_fails_from_some_moment_on_ends_the_run_though_others_were_read_before(first_bad):
    texts, is_away = texts_of_all_lengths(20), []

    def read(row):
        if row >= first_bad or is_away:
            is_away.append(row)
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return texts[row]

    with pytest.raises(MachineError, match=r"stage: read.*nothing was set aside"):
        run(Items("touch", items_of("text", texts).table, read), Letters())


@pytest.mark.parametrize("error", ITEMS.values(), ids=ITEMS)
def test_an_error_of_an_item_sets_it_aside(error):
    items, texts = failing(error)
    (encoded,) = run(items, Letters())
    assert [(item.id, item.stage) for item in encoded.rejected] == [("item-5", "read")]
    assert np.isfinite(encoded.latents[:, 0]).sum() == len(texts) - 1


def test_pauses_between_tries_grow_to_some_seconds(monkeypatch):
    monkeypatch.undo()
    pauses = []
    monkeypatch.setattr(trouble, "time", SimpleNamespace(sleep=pauses.append))
    with pytest.raises(MachineError, match=r"OSError: \[Errno 24\].*Allow more open files \(ulimit -n 65536\)"):
        run(failing(OSError(errno.EMFILE, "Too many open files"))[0], Letters())
    assert pauses == sorted(pauses)
    assert 3 <= sum(pauses) <= 60


def test_a_worker_says_the_same_as_this_process():
    with pytest.raises(MachineError, match="^'item-5' cannot be used"):
        run(failing(OSError(errno.ETIMEDOUT, "Timed out"))[0], Letters(), num_workers=1)


def test_too_many_open_files_within_a_decoder_are_no_items_fault(monkeypatch):
    def short_of_files(raw):
        raise OSError(errno.EMFILE, "Too many open files", "/dev/null")

    monkeypatch.setitem(decoding.DECODERS, "text", short_of_files)
    with pytest.raises(MachineError, match="'item-0' .*stage: decode"):
        run(items_of("text", ["a dog", "grass"]), Letters())


@pytest.mark.parametrize("modality", ["text", "touch"])
def test_memory_that_ends_while_items_are_prepared_is_no_items_fault(modality):
    class Full(Letters):
        def prepare(self, contents):
            if "grass" in contents:
                raise MemoryError
            return list(contents)

    with pytest.raises(MachineError, match=r"'item-1' .*stage: prepare.*MemoryError.*Set fewer num_workers"):
        run(items_of(modality, ["a dog", "grass"]), Full())


@pytest.mark.parametrize("times", [2, 99])
def test_an_encoder_whose_service_is_away_is_asked_again_and_then_ends_the_run(times):
    class Remote(Letters):
        left = times

        def encode(self, batch):
            if self.left:
                self.left -= 1
                raise ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
            return super().encode(batch)

    items = items_of("text", ["a dog", "grass"])
    if times == 2:
        (encoded,) = run(items, Remote())
        assert encoded.latents[:, 0].tolist() == [5, 5]
    else:
        with pytest.raises(MachineError, match="'item-0' .*stage: encode"):
            run(items, Remote())


def test_an_error_of_the_encoder_itself_in_prepare_sets_no_item_aside():
    class Misused(Letters):
        def prepare(self, contents):
            raise EncoderError("it is not for this")

    with pytest.raises(EncoderError, match="it is not for this"):
        run(items_of("text", ["a dog", "grass"]), Misused())


def test_what_is_set_aside_is_told_in_the_order_of_rows():
    class Choosy(Letters):
        def encode(self, batch):
            if "bad" in batch:
                raise ValueError("no")
            return super().encode(batch)

    (encoded,) = run(items_of("text", ["bad", "a dog", "", "bad", "x"]), Choosy())
    assert [(item.id, item.stage) for item in encoded.rejected] == [
        ("item-0", "encode"),
        ("item-2", "decode"),
        ("item-3", "encode"),
    ]
    assert torch.isnan(torch.from_numpy(encoded.latents)).any(dim=1).tolist() == [True, False, True, True, False]
