"""Whose fault an error is: an item's, which is set aside for it, or the machine's, which passes or ends the run.

Place in the flow: what was raised while an item was read, decoded, prepared or encoded -> try again, set aside, stop.

A network file system that is away for a moment, or a limit of the machine, must not cost items for good.
"""

import contextlib
import errno
import re
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeVar

import torch

from fusemix.errors import MachineError
from fusemix.interfaces import Items, Raw
from fusemix.urls import without_secrets

T = TypeVar("T")
ADDRESS = re.compile(r" at 0x[0-9a-f]+")
WAITS_SEC = (0.5, 1.0, 2.0, 4.0)
"""What passes is tried again after each of these."""

OF_AN_ITEM = frozenset(
    getattr(errno, name)
    for name in (
        *("ENOENT", "EACCES", "EPERM", "EISDIR", "ENOTDIR", "ELOOP", "ENAMETOOLONG", "EINVAL", "EILSEQ", "EFBIG"),
        *("EOVERFLOW", "ENODATA", "EOPNOTSUPP", "ENOTSUP", "ENOSYS", "ENOEXEC", "ENOTTY", "ESPIPE", "EDOM", "ERANGE"),
    )
    if hasattr(errno, name)
)
"""Numbers of system errors that are about one file; all others are about the disk, the network or the machine."""

GONE = frozenset((errno.ENOENT, errno.EACCES, errno.EPERM, errno.ENOTDIR))
"""What a single file is that was removed or locked, and every file of a folder that is not mounted."""

OF_ONE_FILE = frozenset(
    getattr(errno, name) for name in ("EIO", "ESTALE", "EREMOTEIO", "EUCLEAN", "EBADMSG") if hasattr(errno, name)
)
"""What a bad sector under a single file is, or its lost handle, and every file of a disk that fails."""

NEIGHBOURS = 8
"""A file is gone or damaged by itself where one of so many rows around it can be read."""

PASSING_STATUS = frozenset((408, 423, 425, 429))
"""HTTP: too slow, locked, too early, too often; 500 and higher besides."""

PASSING_KINDS = frozenset(
    (
        *("TransportError", "ClientConnectionError", "ClientPayloadError", "ServerTimeoutError", "Timeout"),
        *("ProtocolError", "IncompleteRead", "RemoteDisconnected", "ChunkedEncodingError", "SSLError", "gaierror"),
        *(
            "MaxRetryError",
            "NewConnectionError",
            "EndpointConnectionError",
            "HTTPClientError",
            "LocalEntryNotFoundError",
        ),
    )
)
"""Classes of the usual HTTP libraries, none of which this package needs, by name: the connection broke or took long."""

HINTS = {
    errno.EMFILE: "Allow more open files (ulimit -n 65536), or set fewer num_workers.",
    errno.ENFILE: "The whole machine has too many files open.",
    errno.ENOMEM: "Set fewer num_workers, or free memory.",
    errno.ENOSPC: "Free space where TMPDIR points, or in /dev/shm.",
}
OUT_OF_MEMORY = HINTS[errno.ENOMEM]
AWAY = "Is the disk, the network or the server that holds it there?"
WORDS = ("out of memory", "out_of_memory", "alloc_failed", "can't allocate memory", "not enough memory")
"""Where memory is lacking, in small letters; CUBLAS_STATUS_ALLOC_FAILED and its like are said by libraries of CUDA."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a device, or the CPU's allocator, had no memory left."""
    named = isinstance(error, RuntimeError) and any(word in str(error).lower() for word in WORDS)
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or named


def is_of_the_device(error: BaseException) -> bool:
    """Whether a device failed by itself, so that no item is to blame and nothing smaller would help."""
    return isinstance(error, torch.AcceleratorError) and not is_out_of_memory(error)


def is_passing(error: BaseException) -> bool:
    """Whether an error, or one behind it, is that of a disk, a network or a limit: no item is to blame."""
    return any(map(_passes, _chain(error)))


def is_gone(error: BaseException) -> bool:
    """Whether a file is not there, or may not be read."""
    return isinstance(error, FileNotFoundError | PermissionError | NotADirectoryError) or (
        isinstance(error, OSError) and error.errno in GONE
    )


def is_machines(error: BaseException) -> bool:
    """Whether an error is not the item's: it passes, or memory ran out."""
    return is_passing(error) or is_out_of_memory(error)


def tried(item: str, stage: str, action: Callable[..., T], *inputs: object) -> T:
    """Call an action for an item; the machine's fault is tried again, with growing pauses, and then ends the run.

    Args:
        item: id.
        stage: `read`, `decode` or `prepare`.
        action: called with the inputs.

    Raises:
        MachineError: the last try failed like that.
        Exception: whatever the action raises for the item itself.
    """
    try:
        return patiently(partial(action, *inputs), is_machines)
    except Exception as error:
        if is_machines(error):
            raise stopped(item, stage, error) from error
        raise


def patiently(action: Callable[[], T], is_worth_it: Callable[[BaseException], bool]) -> T:
    """Do something, and again after growing pauses while an error is worth it; the last error is raised."""
    for wait in WAITS_SEC:
        try:
            return action()
        except Exception as error:
            if not is_worth_it(error):
                raise
        time.sleep(wait)  # not within `except`, where the error would keep what it had read
    return action()


def stopped(item: str, stage: str, error: BaseException) -> MachineError:
    """What to raise where trying again did not help; arguments as for `tried`, and the last error."""
    numbers = [link.errno for link in _chain(error) if isinstance(link, OSError) and link.errno in HINTS]
    hint = OUT_OF_MEMORY if is_out_of_memory(error) else HINTS[numbers[0]] if numbers else AWAY
    return MachineError(
        f"{item!r} cannot be used (stage: {stage}), in {len(WAITS_SEC) + 1} tries over {sum(WAITS_SEC):g} s: "
        f"{one_line(error)}. That is the machine's fault and not the item's, so nothing was set aside for it. {hint} "
        "The same command goes on where it stopped."
    )


def one_line(error: BaseException) -> str:
    """What went wrong, in at most 300 characters, alike in every run."""
    text = ADDRESS.sub("", " ".join(str(error).split()))  # addresses differ from run to run, and say nothing
    return f"{type(error).__name__}: {without_secrets(text)}"[:300]


class Reader:
    """Reads rows, and finds out whether a file that is gone or damaged is so by itself, or all around it are."""

    def __init__(self, items: Items) -> None:
        self._items, self._moment = items, 0
        self._there = dict[int, int]()  # row -> when it was last read
        self._gone = dict[int, tuple[int, Exception]]()

    def read(self, row: int) -> Raw:
        """Read a row; the machine's fault is tried again.

        Raises:
            MachineError: it stays, and not for this row alone.
            Exception: whatever reading raises for the item itself.
        """
        try:
            return tried(self._id(row), "read", self._read, row)
        except MachineError as error:
            cause = error.__cause__
            if (
                not isinstance(cause, OSError)
                or cause.errno not in OF_ONE_FILE
                or not self._is_alone(row, self._tick())
            ):
                raise
            raise cause from None  # its neighbours are there, now: it is the item's

    def judge(self) -> None:
        """Stop where all around a file that is gone is gone, too, or where it is back: it is not the item's fault.

        Raises:
            MachineError: so it is.
        """
        for row, (moment, error) in list(self._gone.items()):
            what = f"{self._id(row)!r} could not be read ({one_line(error)})"
            if len(self._around(row)) == NEIGHBOURS and not self._is_alone(row, moment):
                raise MachineError(
                    f"{what}, and neither can the {NEIGHBOURS} items around it. Is the disk or the folder that holds "
                    "them there, and mounted? Nothing was set aside for it. The same command goes on where it stopped."
                )
            if self._can_be_read(row):
                raise MachineError(
                    f"{what}, and now it can: the disk or the folder that holds it was away for a moment. Nothing was "
                    "set aside for it. The same command goes on where it stopped."
                )

    def _read(self, row: int) -> Raw:
        moment = self._tick()
        try:
            raw = self._items.read(row)
        except Exception as error:
            if is_gone(error):
                self._gone[row] = moment, error
            raise
        self._there[row] = moment
        return raw

    def _is_alone(self, row: int, moment: int) -> bool:
        """Whether one around a row was read later than that; what was read before may still lie in a cache."""
        around = self._around(row)
        if any(self._there.get(near, 0) > moment for near in around):
            return True
        return any(map(self._can_be_read, sorted(around, key=self._there.__contains__)))

    def _around(self, row: int) -> list[int]:
        low = max(0, min(row - NEIGHBOURS // 2, len(self._items) - 1 - NEIGHBOURS))
        return [near for near in range(low, min(low + NEIGHBOURS + 1, len(self._items))) if near != row]

    def _can_be_read(self, row: int) -> bool:
        with contextlib.suppress(Exception):
            self._items.read(row)
            self._there[row] = self._tick()
            return True
        return False

    def _tick(self) -> int:
        self._moment += 1
        return self._moment

    def _id(self, row: int) -> str:
        return self._items.table["id"][row].as_py()


def _passes(error: BaseException) -> bool:
    status = _status(error)
    if status is not None:
        return status >= 500 or status in PASSING_STATUS
    if isinstance(error, ConnectionError | TimeoutError | BlockingIOError | InterruptedError):
        return True
    if any(kind.__name__ in PASSING_KINDS for kind in type(error).__mro__):
        return True
    return isinstance(error, OSError) and isinstance(error.errno, int) and error.errno > 0 and not _is_of_an_item(error)


def _is_of_an_item(error: OSError) -> bool:
    return error.errno in OF_AN_ITEM or is_gone(error)


def _status(error: BaseException) -> int | None:
    """Of an answer by HTTP, wherever a library keeps it."""
    response = getattr(error, "response", None)
    holders = [(error, "code"), (error, "status"), (response, "status_code"), (response, "status")]
    found = [getattr(holder, name, None) for holder, name in holders]
    return next((value for value in found if isinstance(value, int) and 400 <= value < 600), None)


def _chain(error: BaseException | None, most: int = 8) -> Iterator[BaseException]:
    while error is not None and most:
        yield error
        error, most = error.__cause__ or error.__context__, most - 1
