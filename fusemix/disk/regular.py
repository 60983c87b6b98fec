"""Files of a folder that anybody may have filled: regular ones alone, and none that a link fetches from elsewhere.

Place in the flow: a path that was found or written down by somebody else -> bytes.

A pipe keeps who opens it waiting for ever, and a device has no end. Either may take the place of a file between a look
at it and its opening, so what counts is what was opened.
"""

import errno
import os
import stat
from pathlib import Path, PurePosixPath
from typing import IO

NO_WAITING = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
NOT_REGULAR = "it is a pipe, a socket or a device, and no regular file"
LEADS_OUT = "a link leads out of the folder"


def read_regular(path: str | Path) -> bytes:
    """Content of a regular file; errors as for `open_regular`."""
    with open_regular(path) as file:
        return file.read()


def open_regular(path: str | Path) -> IO[bytes]:
    """Open a regular file for reading; nothing else is waited for.

    Raises:
        OSError: it cannot be read, or is something else (EINVAL).
    """
    try:
        handle = os.open(path, os.O_RDONLY | NO_WAITING)
    except OSError as error:
        if error.errno in (errno.ENXIO, errno.ENODEV):  # a socket, or a device without hardware
            raise OSError(errno.EINVAL, NOT_REGULAR, str(path)) from error
        raise
    mode = os.fstat(handle).st_mode
    if stat.S_ISREG(mode):
        return os.fdopen(handle, "rb")
    os.close(handle)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    raise OSError(errno.EINVAL, NOT_REGULAR, str(path))


def read_below(folder: str | Path, path: str, *, follow_links: bool = False) -> bytes:
    """Content of a regular file in a folder.

    Args:
        folder: that it must lie in.
        path: below it, with `/` between its parts.
        follow_links: also where a link leads out of the folder.

    Raises:
        OSError: it cannot be read, is no regular file, or lies elsewhere (EINVAL).
    """
    parts = PurePosixPath(path)
    if parts.is_absolute() or ".." in parts.parts or Path(path).is_absolute():
        raise OSError(errno.EINVAL, "it does not lie in the folder", f"{folder}/{path}")
    full = os.path.join(folder, path)  # noqa: PTH118 - a Path for each of millions takes its time
    if follow_links:
        return read_regular(full)
    found = os.path.realpath(full)
    if not lies_below(found, os.path.realpath(folder)):
        raise OSError(errno.EINVAL, LEADS_OUT, full)
    return read_regular(found)


def lies_below(path: str, folder: str) -> bool:
    """Whether a real path is a folder, which is one, too, or lies in it."""
    return path == folder or path.startswith(folder if folder.endswith(os.sep) else folder + os.sep)
