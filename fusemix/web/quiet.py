"""A log that says the same thing once a minute, however often it happens: what strangers cause must not fill a disk.

Place in the flow: uvicorn's and asyncio's loggers -> Once -> the console.
"""

import errno
import logging
import time
from collections.abc import Callable

REPEATED_SEC = 60
MOST_KNOWN = 1000
"""Things that are told apart; beyond, all are forgotten and told again."""
NOTHING_LEFT = (errno.EMFILE, errno.ENFILE)


class Once(logging.Filter):
    """Lets a message through once in REPEATED_SEC, with how often it came since.

    Args:
        clock: seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._told: dict[tuple[object, ...], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether this one is told; lack of descriptors is told in a line of its own, without a traceback."""
        error = record.exc_info[1] if record.exc_info else None
        has_none_left = isinstance(error, OSError) and error.errno in NOTHING_LEFT
        if has_none_left:
            record.msg, record.args, record.exc_info, record.exc_text = (
                "no file descriptors are left, so connections wait; allow more: ulimit -n 65536",
                (),
                None,
                None,
            )
        now = self._clock()
        # What differs from one time to the next, such as an address, stands behind the first line, or is an argument.
        kind = (str(record.msg).split("\n", 1)[0], type(error), None if has_none_left else record.lineno)
        told, silent = self._told.get(kind, (-float("inf"), 0))
        if now - told < REPEATED_SEC:
            self._told[kind] = (told, silent + 1)
            return False
        if len(self._told) >= MOST_KNOWN:
            self._told.clear()
        self._told[kind] = (now, 0)
        if silent:
            record.msg, record.args = f"{record.getMessage().rstrip()} ({silent:,} times more since the last time)", ()
        return True


def make_quiet(names: tuple[str, ...] = ("uvicorn.error", "asyncio")) -> None:
    """Have loggers say the same thing once a minute."""
    for name in names:
        logger = logging.getLogger(name)
        if not any(isinstance(one, Once) for one in logger.filters):
            logger.addFilter(Once())
