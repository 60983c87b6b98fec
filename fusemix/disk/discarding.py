"""Folders of our own that make room for others: nothing else of a user's is ever deleted.

Place in the flow: every command that has `overwrite` -> here -> the file system.

A folder may go only where its own seal says that fusemix wrote it, and only while nothing lies in it but files that
fusemix names. It is moved aside whole and deleted there, so that it is there whole or not at all; where something is to
take its place, that is made beside it first and swapped in at the end. A symbolic link is never followed.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from fnmatch import fnmatchcase
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from fusemix.disk.files import read_json, sync_folder
from fusemix.disk.proven_names import is_ours, new_name
from fusemix.disk.system_names import SYSTEM_NAMES
from fusemix.disk.temporary import LEFTOVER, forget_leftovers_of, temporary
from fusemix.errors import FusemixError, OutputError, sentence_of

DISCARDED = ".discarded-"
KEPT, CONTENT = "kept", "content"
"""In a folder aside: what may still have to come back, and what is being deleted."""
NEW = ".new"
NOBODYS = SYSTEM_NAMES | {".ds_store", ".directory", ".fusemix.lock", ".fusemix.lock.json"}
"""Files of the system's, and the lock of who is discarding; in lower case."""
SHOWN = 3


class Owned(NamedTuple):
    """A kind of folder that fusemix writes.

    Attributes:
        what: it is, for people: "a run".
        is_sealed: whether a folder says of itself that it is one.
        names: all files that fusemix writes there, relative to the folder, by components: `*` stands for any part of
            one, and `**` at the end for all below.
    """

    what: str
    is_sealed: Callable[[Path], bool]
    names: tuple[str, ...]


def says(path: Path, format_name: str, version: int) -> bool:
    """Whether a JSON file bears a format of ours, in this version or an earlier one."""
    try:
        about: Any = read_json(path)
    except (OSError, ValueError, FusemixError):
        return False
    if not isinstance(about, dict) or about.get("format") != format_name:
        return False
    found = about.get("version")
    return isinstance(found, int) and 1 <= found <= version


def is_named(path: PurePosixPath, names: tuple[str, ...]) -> bool:
    """Whether a file, relative to its folder, bears a name that fusemix gives."""
    return any(_fits(path.parts, tuple(name.split("/"))) for name in names)


def _fits(parts: tuple[str, ...], pattern: tuple[str, ...]) -> bool:
    if pattern[-1] == "**":
        pattern, parts = pattern[:-1], parts[: len(pattern) - 1] if len(parts) >= len(pattern) else ()
    return len(parts) == len(pattern) and all(map(fnmatchcase, parts, pattern))


def strangers(folder: Path, names: tuple[str, ...]) -> Iterator[str]:
    """Files below a folder that fusemix did not name, each relative to it; links, too, wherever they lead."""
    for path in _files_below(folder):
        relative = path.relative_to(folder)
        if path.is_symlink() or not (is_named(PurePosixPath(relative.as_posix()), names) or _is_nobodys(path.name)):
            yield str(relative)


def _is_nobodys(name: str) -> bool:
    return name.startswith("._") or name.lower() in NOBODYS or LEFTOVER.fullmatch(name) is not None


def _files_below(folder: Path) -> Iterator[Path]:
    def fail(error: OSError) -> None:
        raise error

    for place, folders, files in os.walk(folder, onerror=fail):
        below = [Path(place, name) for name in folders]
        yield from sorted([*(Path(place, name) for name in files), *(path for path in below if path.is_symlink())])
        folders[:] = sorted(path.name for path in below if not path.is_symlink())


def require_ours(folder: Path, kind: Owned) -> None:
    """Refuse to discard anything but a folder of some kind of ours.

    Raises:
        OutputError: it bears no seal, holds files of somebody else, is a link, or this process runs in it.
    """
    if folder.is_symlink():
        raise OutputError(
            f"{folder} is a symbolic link, and nothing is deleted through one. Delete what it leads to by hand, or "
            "choose another out."
        )
    if not folder.is_dir() or not kind.is_sealed(folder):
        raise OutputError(
            f"{folder} does not say that it is {kind.what} of fusemix, so nothing in it is deleted. Choose another "
            "out, or move away what is there."
        )
    try:
        found = list(strangers(folder, kind.names))
    except OSError as error:
        raise OutputError(f"{folder} cannot be discarded: {error.strerror or error}: {error.filename}.") from error
    if found:
        more = f" and {len(found) - SHOWN:,} more" if len(found) > SHOWN else ""
        raise OutputError(
            f"{folder} is {kind.what}, but holds what fusemix did not write there: {', '.join(found[:SHOWN])}{more}. "
            "Nothing was deleted. Move that elsewhere, or choose another out."
        )
    if Path.cwd().is_relative_to(folder.resolve()):
        raise OutputError(f"{folder} cannot be discarded by a command that runs in it. Run it in another folder.")


def require_free(folder: Path, kind: Owned) -> None:
    """Refuse to write over files that are not ours: of a name that is going to be written, without our seal beside.

    Raises:
        OutputError: there is one.
    """
    if not folder.is_dir() or kind.is_sealed(folder):
        return
    # Not all that lies below: whoever writes into a folder of millions of files is not made to wait for them.
    found = chain.from_iterable(map(folder.glob, kind.names))
    taken = sorted(str(path.relative_to(folder)) for path in found if not path.is_dir())
    if taken:
        raise OutputError(
            f"{folder} does not say that it is {kind.what} of fusemix, and holds {', '.join(taken[:SHOWN])}, which "
            "would be written over. Choose another out, or move away what is there."
        )


def discard(folder: Path, kind: Owned) -> None:
    """Delete a folder of ours, if it is there; it is there whole or not at all, at whatever line this is killed.

    Raises:
        OutputError: it is not ours, not ours alone, or cannot be moved.
    """
    if os.path.lexists(folder):
        require_ours(folder, kind)
        _delete(_moved_aside(folder.resolve(), kind))


def beside(folder: Path) -> Path:
    """Where what is going to take a folder's place is made: the same in each process, and when a command goes on."""
    return folder.with_name(f".{folder.name}{NEW}")


def goal_of(place: Path) -> Path:
    """The folder that what is written here belongs to: another one where this lies beside it."""
    is_beside = place.name.startswith(".") and place.name.endswith(NEW)
    return place.with_name(place.name[1 : -len(NEW)]) if is_beside else place


def take_place(new: Path, folder: Path, kind: Owned) -> None:
    """Put a finished folder in the place of one of ours; killed at any line, the one or the other is there.

    Args:
        new: whole; on the same file system.
        folder: of ours, empty, or not there.
        kind: of both.

    Raises:
        OutputError: what is there is not ours, not ours alone, or cannot be moved.
    """
    if not os.path.lexists(folder) or (not folder.is_symlink() and folder.is_dir() and not any(folder.iterdir())):
        new.rename(folder)
        sync_folder(folder.parent)
        return
    require_ours(folder, kind)
    aside = _moved_aside(folder.resolve(), kind)
    try:
        new.rename(folder)
    except OSError:
        _bring_back(aside, folder.parent)
        raise
    sync_folder(folder.parent)
    _delete(aside)


@contextmanager
def replacing(folder: Path, kind: Owned) -> Iterator[Path]:
    """Give a folder to write into, which takes the place of one of ours only if the block succeeds.

    Args:
        folder: of ours, empty, or not there, which was looked at already.
        kind: of both.

    Raises:
        OutputError: nothing can be made beside it.
    """
    folder = folder.absolute()
    part = temporary(folder)
    forget_leftovers_of(folder)
    clear_discarded(folder)
    try:
        part.mkdir(parents=True)
    except OSError as error:
        error.filename = str(folder.parent)  # people know this name
        raise OutputError(
            f"what takes the place of {folder} is made beside it, and cannot be: {sentence_of(error)}"
        ) from error
    try:
        yield part
        take_place(part, folder, kind)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def _moved_aside(folder: Path, kind: Owned) -> Path:
    """The folder aside; what was put into the folder at the last moment brings it back."""
    aside = folder.with_name(f"{DISCARDED}{new_name()}")
    try:
        (aside / KEPT).mkdir(parents=True)
        folder.rename(aside / KEPT / folder.name)
    except OSError as error:
        with suppress(OSError):
            (aside / KEPT).rmdir()
            aside.rmdir()
        raise OutputError(
            f"{folder} cannot be discarded: {error.strerror or error}. Delete it by hand, or choose another out."
        ) from error
    sync_folder(aside / KEPT)
    sync_folder(folder.parent)
    if next(strangers(aside / KEPT / folder.name, kind.names), None):
        _bring_back(aside, folder.parent)
        require_ours(folder, kind)
    return aside


def _bring_back(aside: Path, parent: Path) -> None:
    for kept in (aside / KEPT).iterdir():
        kept.rename(parent / kept.name)
    (aside / KEPT).rmdir()
    aside.rmdir()


def _delete(aside: Path) -> None:
    with suppress(OSError):  # what cannot be deleted stays aside, where it is in nobody's way
        (aside / KEPT).rename(aside / CONTENT)  # from here on it cannot come back
        shutil.rmtree(aside, ignore_errors=True)


def clear_discarded(folder: Path) -> None:
    """End what was killed half way beside a folder: it comes back, or is deleted where it was replaced already.

    To be called by who holds the folder's lock. Nothing else bears such names.
    """
    for aside in folder.parent.glob(f"{DISCARDED}*"):
        if not is_ours(aside.name.removeprefix(DISCARDED)) or aside.is_symlink() or not aside.is_dir():
            continue
        kept = list((aside / KEPT).glob("*"))
        if not kept:
            shutil.rmtree(aside, ignore_errors=True)
        elif [path.name for path in kept] == [folder.name]:  # others may be in use by another command
            _delete(aside) if os.path.lexists(folder) else _bring_back(aside, folder.parent)
