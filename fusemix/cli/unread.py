"""Standard output and errors that nobody reads any more, as after `… | head -3`: work goes on all the same.

Place in the flow: `fusemix.cli.run`, before a command begins -> sys.stdout and sys.stderr.
"""

import errno
import io
import os
import sys
from contextlib import suppress
from typing import Any


class _Unread(io.FileIO):
    """The bytes of a stream; from where they cannot be written on, they go nowhere."""

    def __init__(self, handle: int) -> None:
        super().__init__(handle, "wb", closefd=False)

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            if error.errno != errno.EPIPE and self.fileno() == 1:
                with suppress(OSError):
                    text = f"fusemix: what is printed cannot be written any more ({error.strerror}); the work goes on\n"
                    os.write(2, text.encode())
            return memoryview(data).nbytes


def go_on_unread() -> None:
    """Let no print end the work of this process; streams that somebody else has put in their place stay as they are."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if not isinstance(stream, io.TextIOWrapper) or stream is not getattr(sys, f"__{name}__"):
            continue
        stream.flush()
        raw = _Unread(stream.fileno())
        how: dict[str, Any] = {"line_buffering": stream.line_buffering, "write_through": stream.write_through}
        # As Python itself does: without a buffer where it was asked for none.
        buffer: Any = raw if stream.write_through else io.BufferedWriter(raw)
        setattr(sys, name, io.TextIOWrapper(buffer, encoding=stream.encoding, errors=stream.errors, **how))
