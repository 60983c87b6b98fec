"""Folders that are made on this machine and sent to a URL: there whole, or not there at all.

Place in the flow: `out` is a URL -> a folder of this machine -> its files behind the URL, the one that seals it last.

Files:
    fusemix-upload.json   behind the URL while files are on their way; what a killed command has left is gone on with

Object stores know no locks and no renaming. So one command at a time may send to a URL, and where it replaces
something, that is gone from the first file on.
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from fusemix.disk.discarding import Owned, is_named
from fusemix.disk.temporary import remove_leftovers, temporary
from fusemix.errors import OutputError, RemoteError, first_line
from fusemix.parts.own_code import user_cache
from fusemix.progress import console, counting
from fusemix.remote.paths import Remote, file_system, place_in

MARK, FORMAT = "fusemix-upload.json", "fusemix.upload"


class Kind(NamedTuple):
    """A kind of folder that is sent.

    Attributes:
        owned: its name for people, and the names of all its files.
        seal: file that says that it is one, written last.
        format_name: what that says.
    """

    owned: Owned
    seal: str
    format_name: str


def require_sendable(goal: Remote, kind: Kind, *, overwrite: bool) -> None:
    """Refuse to send to where something else lies, or the same where it is not to be replaced.

    Raises:
        OutputError: so it is.
        RemoteError: nobody can look.
    """
    found = goal.below()
    if not found:
        return
    began = _says(goal / MARK, FORMAT, MARK in found, of=kind.format_name)
    if not began and not _says(goal / kind.seal, kind.format_name, kind.seal in found):
        raise OutputError(f"{goal} holds something that is not {kind.owned.what}. Choose another out.")
    if others := [name for name in found if name != MARK and not is_named(PurePosixPath(name), kind.owned.names)]:
        raise OutputError(
            f"{goal} is {kind.owned.what}, but holds what fusemix did not write there: {', '.join(others[:3])}. "
            "Nothing was deleted. Move that elsewhere, or choose another out."
        )
    if not began and not overwrite:
        raise OutputError(f"{goal} holds {kind.owned.what}. Choose another out, or replace it with overwrite=true.")


def _says(remote: Remote, format_name: str, is_there: bool, of: str | None = None) -> bool:
    with suppress(ValueError, OSError):
        about = json.loads(remote.read_bytes()) if is_there else None
        return isinstance(about, dict) and about.get("format") == format_name and about.get("of") in (None, of)
    return False


@contextmanager
def made_here(goal: Remote) -> Iterator[Path]:
    """Give a folder of this machine to write into, called as the URL is; it goes with the block."""
    top = user_cache() / "sending"
    top.mkdir(parents=True, exist_ok=True, mode=0o700)
    remove_leftovers(top, depth=0)
    part = temporary(top / "out")
    (part / goal.name).mkdir(parents=True)
    try:
        yield part / goal.name
    finally:
        shutil.rmtree(part, ignore_errors=True)


def send(folder: Path, goal: Remote, kind: Kind) -> None:
    """Send all files of a folder, the sealing one last; what is there of another one goes first.

    Args:
        folder: whole.
        goal: that `require_sendable` has looked at.
        kind: of the folder.

    Raises:
        RemoteError: a file cannot be written or has not arrived; nothing there is taken for a whole one then.
    """
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    sizes = {name: (folder / name).stat().st_size for name in names}
    system, top, total = file_system(goal.url), place_in(goal.url), sum(sizes.values())
    mark = {"format": FORMAT, "version": 1, "of": kind.format_name}
    console.print(f"sending {len(names):,} files, {total / 1e6:,.1f} MB, to {goal}")
    with _writing(goal, kind), counting(f"bytes to {goal}", total) as advance:
        system.pipe_file(f"{top}/{MARK}", json.dumps(mark).encode())
        ours = [name for name in goal.below() if is_named(PurePosixPath(name), kind.owned.names)]
        for name in sorted(ours, key=lambda name: name != kind.seal):  # from here on it is not taken for a whole one
            system.rm_file(f"{top}/{name}")
        for name in names:
            if name != kind.seal:
                system.put_file(str(folder / name), f"{top}/{name}")
                advance(sizes[name])
        arrived = {name: status.st_size for name, status in goal.below().items()}
        if lost := [name for name in names if name != kind.seal and arrived.get(name) != sizes[name]]:
            raise RemoteError(f"{goal}/{lost[0]} has not arrived whole. Give the same command again.")
        system.put_file(str(folder / kind.seal), f"{top}/{kind.seal}")
        system.rm_file(f"{top}/{MARK}")


@contextmanager
def _writing(goal: Remote, kind: Kind) -> Iterator[None]:
    try:
        yield
    except RemoteError:
        raise
    except Exception as error:  # each file system has errors of its own
        raise RemoteError(
            f"{goal} cannot be written: {type(error).__name__}: {first_line(error)}. Nothing there is taken for "
            f"{kind.owned.what}. Once that is fixed, give the same command again."
        ) from error
