"""Copies on this machine of what lies behind URLs: small files that are kept, folders that go when their use is over.

Place in the flow: a Remote -> a Path in the user's cache -> whoever reads files of this machine.

Files:
    ~/.cache/fusemix/fetched/s3/bucket/photos/captions.csv          a copy; may be deleted at any time
    ~/.cache/fusemix/fetched/s3/bucket/photos/captions.csv.status   which state of the file it is of
"""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from fusemix.disk.files import write_atomic
from fusemix.disk.temporary import remove_leftovers, temporary
from fusemix.errors import ConfigError, FusemixError, RemoteError, first_line
from fusemix.parts.own_code import user_cache
from fusemix.progress import console, counting
from fusemix.remote.paths import Remote, Status, located

BLOCK_BYTES = 8 << 20


def here(text: str | Path) -> Path:
    """A file on this machine: itself, or a copy of what lies behind a URL, fetched again once that has changed.

    Raises:
        ConfigError, UntrustedCodeError: as `located`.
        RemoteError: it cannot be fetched.
    """
    found = located(text)
    if isinstance(found, Path):
        return found
    protocol, _, rest = found.url.partition("://")
    copy = user_cache() / "fetched" / protocol.lower() / rest.strip("/")
    try:
        status = found.stat()
    except FileNotFoundError as error:
        raise RemoteError(f"there is no file {found}. Check the name.") from error
    noted = copy.with_name(f"{copy.name}.status")
    if not (copy.is_file() and _noted(noted) == status):
        copy.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        noted.unlink(missing_ok=True)
        fetch_file(found, copy)
        with write_atomic(noted) as file:
            file.write(json.dumps(status).encode())
    return copy


def _noted(path: Path) -> Status | None:
    with suppress(OSError, ValueError, TypeError):
        return Status(*json.loads(path.read_bytes()))
    return None


def fetch_file(remote: Remote, goal: Path, advance: Callable[[int], None] = lambda count: None) -> None:
    """Copy a file from a URL, complete or not at all.

    Args:
        remote: the file.
        goal: where it is to lie, in a folder that is there.
        advance: called with the number of bytes just copied.

    Raises:
        RemoteError: it cannot be read, or breaks off.
    """
    try:
        with remote.open(BLOCK_BYTES) as source, write_atomic(goal) as file:
            while block := source.read(BLOCK_BYTES):
                file.write(block)
                advance(len(block))
            if file.tell() != remote.stat().st_size:
                raise RemoteError(f"{remote} broke off at byte {file.tell():,}. Give the same command again.")
    except FusemixError:
        raise
    except Exception as error:  # each file system has errors of its own
        if isinstance(error, OSError) and error.filename == str(goal):
            raise
        raise RemoteError(
            f"{remote} cannot be fetched: {type(error).__name__}: {first_line(error)}. Give the same command again."
        ) from error


def fetch_files(folder: Remote, files: Mapping[str, Status], goal: Path) -> None:
    """Copy files below a URL to the same places below a folder that need not be there.

    Args:
        folder: behind the URL.
        files: place in it -> status, out of `Remote.below`.
        goal: folder of this machine.

    Raises:
        RemoteError: one cannot be read.
        ConfigError: there is no room for them.
    """
    total = sum(status.st_size for status in files.values())
    goal.mkdir(parents=True, exist_ok=True)
    if (free := shutil.disk_usage(goal).free) < total:
        raise ConfigError(
            f"{folder} is fetched to this machine, which takes {total:,} bytes, and {goal} has {free:,} left. Make "
            "room, or name another place in XDG_CACHE_HOME."
        )
    console.print(f"fetching {len(files):,} files, {total / 1e6:,.1f} MB, of {folder}")
    with counting(f"bytes of {folder}", total) as advance:
        for name, status in files.items():
            (goal / name).parent.mkdir(parents=True, exist_ok=True)
            fetch_file(Remote(f"{folder}/{name}", status), goal / name, advance)


@contextmanager
def fetched_for_now(text: str | Path, is_wanted: Callable[[str], object]) -> Iterator[Path]:
    """A file or folder on this machine: itself, or a copy of what lies behind a URL, which goes with the block.

    Messages of what is done with the copy name the URL.

    Args:
        text: path or URL.
        is_wanted: whether a file of a folder is, by its place in it.

    Raises:
        ConfigError, UntrustedCodeError, RemoteError: as `here` and `fetch_files`.
    """
    found = located(text)
    if isinstance(found, Path):
        yield found
        return
    top = user_cache() / "fetched"
    top.mkdir(parents=True, exist_ok=True, mode=0o700)
    remove_leftovers(top, depth=0)
    part = temporary(top / "for-now")
    copy = part / found.name
    try:
        if found.is_file():
            fetch_files(found.parent, {found.name: found.stat()}, part)
        else:
            fetch_files(found, {name: status for name, status in found.below().items() if is_wanted(name)}, copy)
        yield copy
    except FusemixError as error:
        error.args = tuple(str(one).replace(str(copy), found.url) for one in error.args)
        raise
    finally:
        shutil.rmtree(part, ignore_errors=True)
