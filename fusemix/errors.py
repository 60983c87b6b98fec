"""What a user can fix. Each message says what is wrong, where, and how to fix it.

Place in the flow: raised anywhere, shown by `fusemix.cli.run` without a traceback.
A caller's mistake inside the package stays a ValueError and keeps its traceback.
"""

import errno
import os

from fusemix.urls import without_secrets

FULL = (errno.ENOSPC, errno.EDQUOT)
"""A disk or a quota has no room left."""


class FusemixError(Exception):
    """Something a user can fix.

    Attributes:
        exit_code: with which a command ends that it ends.
    """

    exit_code = 2


class ConfigError(FusemixError):
    """A setting is unknown, has a wrong value, or contradicts another."""


class DamagedFileError(FusemixError, ValueError):
    """A file that fusemix has written cannot be read any more; a ValueError too, for who knows what to do then."""


class DatasetError(FusemixError):
    """A data set is not where it was said to be, or not what it was said to be."""


class EncoderError(FusemixError):
    """An encoder cannot be loaded, or cannot do what was asked of it."""


class LatentStoreError(FusemixError):
    """A folder of latents is unfinished, damaged, or made by something else."""


class RunError(FusemixError):
    """A training run is missing, unfinished, or does not fit what it is used with."""


class IndexFolderError(FusemixError):
    """An index for searching is missing, damaged, or made by something else."""


class QueryError(FusemixError):
    """Something that was searched for cannot be read or is not there."""


class OutputError(FusemixError):
    """A folder that is to be written cannot be, or another process writes there."""


class UntrustedCodeError(FusemixError):
    """Data name code that is not fusemix's own, and the user has not said that it may run."""


class StudyError(FusemixError):
    """Jobs of a study have failed; the others are done, and their figures are written."""

    exit_code = 1


class RemoteError(FusemixError):
    """What lies behind a URL cannot be listed, read or written."""


class MachineError(FusemixError):
    """A disk, a network, memory or a limit fails, and no item is to blame; the same command goes on afterwards."""


def first_line(error: BaseException) -> str:
    """What an error says first, without secrets that URLs hold; its kind where it says nothing."""
    return without_secrets(
        next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    )


FIXED_BY = {
    errno.ENOENT: "Check the path.",
    errno.ENOTDIR: "A file stands where a folder is needed; check the path.",
    errno.EISDIR: "A folder stands where a file is needed; check the path.",
    errno.EEXIST: "Something else is there already; move it away, or choose another place.",
    errno.ENOTEMPTY: "Something else is in there; move it away, or choose another place.",
    errno.EACCES: "Ask its owner for access, or choose another place.",
    errno.EPERM: "Ask its owner for access, or choose another place.",
    errno.EROFS: "Choose a place that can be written to.",
    errno.ENAMETOOLONG: "Choose a shorter name.",
    errno.ELOOP: "Its links lead in a circle; fix them.",
    errno.EMFILE: "Allow more open files in this shell, `ulimit -n 8192`, and give the same command again.",
    errno.ENFILE: "The whole machine has no more; end what holds many files open, and give the same command again.",
    errno.ENOMEM: "The machine has no memory left; end other programs, or use fewer workers (num_workers).",
    errno.EAGAIN: "The machine has no more processes or memory to give; use fewer workers (num_workers).",
    errno.EIO: "The disk, or the machine that holds it, failed: look at the system's log before going on.",
    errno.ESTALE: "The file server has lost sight of it; give the same command again.",
    errno.ETIMEDOUT: "The file server or the network did not answer; give the same command again.",
    errno.ENOTCONN: "What was mounted there is gone; mount it again.",
    errno.EBUSY: "Another program uses it; end that first.",
    errno.ETXTBSY: "Another program uses it; end that first.",
    errno.EFBIG: "Files may not become so large here: see `ulimit -f`, or choose another file system.",
    errno.EXDEV: "Its parts lie on different file systems; choose a place on one.",
    errno.EADDRINUSE: "Another program uses the port; choose another one.",
    **dict.fromkeys(FULL, "Make room."),
}
"""What a person can do about an error of the operating system."""


def sentence_of(error: OSError) -> str:
    """An error of the operating system in one line: what, where, and how to fix it."""
    what = error.strerror or (os.strerror(error.errno) if error.errno else str(error))
    where = [os.fsdecode(name) for name in (error.filename, error.filename2) if isinstance(name, str | bytes)]
    fix = FIXED_BY.get(error.errno or 0, "")
    return f"{' -> '.join(where)}{': ' if where else ''}{what}.{f' {fix}' if fix else ''}"
