"""Everything in a folder and those below it, each passed over with its reason.

Place in the flow: a folder -> paths of files, and what is no file, may not be read, or is only linked to.
Not here: which of the files are data (folder.py).
"""

import errno
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

from fusemix.disk.regular import LEADS_OUT, NOT_REGULAR, lies_below
from fusemix.disk.system_names import is_system_name
from fusemix.errors import DatasetError
from fusemix.interfaces import Rejected

OF_ONE_FOLDER = (errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)
"""Errors that are about one folder; others are the disk's or the machine's, and end the walk."""
ASK = "follow_links=true takes it"


@dataclass
class Walk:
    """What was found below a folder. Hidden names and those that systems leave behind are passed over.

    Attributes:
        folder: that is walked.
        follow_links: whether links that lead out of it are followed.
        files: paths below it, with `/` between their parts, in no order.
        odd: path of what is no file that may be read -> why.
        folders: what was not looked into.
    """

    folder: Path
    follow_links: bool = False
    files: list[str] = field(default_factory=list)
    odd: dict[str, str] = field(default_factory=dict)
    folders: list[Rejected] = field(default_factory=list)
    _links: list[str] = field(default_factory=list)
    _seen: set[tuple[int, int]] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Walk: what lies there first, so that a link to it adds nothing.

        Raises:
            DatasetError: the folder itself cannot be read.
            OSError: the disk or the machine fails.
        """
        self._real = os.path.realpath(self.folder)
        self._into("")
        while self._links:
            links, self._links = sorted(self._links), []
            for path in links:
                self._link(path)

    def _into(self, top: str) -> None:
        waiting = [top]
        while waiting:
            below = waiting.pop()
            try:
                status = Path(self._full(below)).stat()
                if (status.st_dev, status.st_ino) in self._seen:
                    self._pass_over(below, "a link to a folder that is taken where it lies")
                    continue
                with os.scandir(self._full(below)) as entries:
                    found = [entry for entry in entries if not is_system_name(entry.name)]
            except OSError as error:
                if not below:
                    raise DatasetError(f"{self.folder} cannot be read: {error.strerror}.") from error
                if error.errno not in OF_ONE_FOLDER:
                    raise
                self._pass_over(below, f"the folder cannot be read: {error.strerror}")
                continue
            self._seen.add((status.st_dev, status.st_ino))
            for entry in found:
                path = f"{below}/{entry.name}" if below else entry.name
                if entry.is_symlink():
                    self._links.append(path)
                elif entry.is_dir(follow_symlinks=False):
                    waiting.append(path)
                elif entry.is_file(follow_symlinks=False):
                    self.files.append(path)
                else:
                    self.odd[path] = NOT_REGULAR

    def _link(self, path: str) -> None:
        try:
            mode = Path(self._full(path)).stat().st_mode
        except OSError as error:
            if error.errno not in OF_ONE_FOLDER:
                raise
            self.odd[path] = f"a link that cannot be followed: {error.strerror}"
            return
        is_inside = lies_below(os.path.realpath(self._full(path)), self._real)
        if stat.S_ISDIR(mode):
            if self.follow_links:
                self._into(path)
            else:
                self._pass_over(path, f"a link to a folder, which is not followed{'' if is_inside else f'; {ASK}'}")
        elif not stat.S_ISREG(mode):
            self.odd[path] = NOT_REGULAR
        elif is_inside or self.follow_links:
            self.files.append(path)
        else:
            self.odd[path] = f"{LEADS_OUT}; {ASK}"

    def _full(self, path: str) -> str:
        return os.path.join(self.folder, path)  # noqa: PTH118 - a Path for each of millions takes its time

    def _pass_over(self, path: str, reason: str) -> None:
        self.folders.append(Rejected(f"{told(path)}/", "dataset", reason))


def told(path: str) -> str:
    """A path as it can be written down: in ASCII where the system gave bytes that are no text."""
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        return ascii(path)
    return path
