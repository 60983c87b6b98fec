"""Files and folders behind URLs such as s3://bucket/photos, by fsspec: listed, read and opened.

Place in the flow: a setting or an option -> located -> a Path, or a Remote that is used like one.
Not here: which URLs are refused (fusemix/urls.py), copies on this machine (fetched.py), and what is sent (sending.py).

Credentials, retries and caches are fsspec's own. A URL is opened only where the user's own settings have named it, or a
folder above it: data that names another one is refused. File systems are asked for in the process that uses them, since
those of fsspec do not outlive a fork.
"""

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from fusemix.errors import ConfigError, RemoteError, UntrustedCodeError, first_line
from fusemix.parts.extras import install, packages_of
from fusemix.parts.trust import is_named_by_data
from fusemix.remote.own_urls import is_known, remember
from fusemix.urls import BEGINS, is_url, local_path, problem, without_secrets

EXTRAS = {"s3": ("s3", "s3fs"), "s3a": ("s3", "s3fs"), "gs": ("gcs", "gcsfs"), "gcs": ("gcs", "gcsfs")}
"""Protocol -> extra of fusemix, and the package that it brings."""
READ_AHEAD = 1 << 20
"""Bytes that one request fetches at least of a file that is read bit by bit: samples of a tar lie side by side."""
VERSIONS = ("etag", "ETag", "md5Hash", "content_md5", "generation", "blob_id")
TIMES = ("mtime", "LastModified", "last_modified", "updated", "timeModified", "created")
"""Keys by which file systems of fsspec say that a file is another one than before, the surest first."""
Opened = Any
"""A file opened to read its bytes, anywhere in it; those of fsspec are no `IO[bytes]` by their types."""
_used_by: list[int] = []
"""The process that has used fsspec last."""


class Status(NamedTuple):
    """Of a file: bytes, and a number that another one takes when the file is changed; named as `os.stat` names them."""

    st_size: int
    st_mtime_ns: int


@dataclass(frozen=True, order=True)
class Remote:
    """A file or folder behind a URL, with those methods of a Path that are needed.

    Attributes:
        url: without `/` at the end; `file_system` and `place` give what fsspec wants.
        status: of a file that a listing has named; None where it is not known yet.
        is_listed: whether it was in a listing, so that `status` says whether it is a file.
    """

    url: str
    status: Status | None = field(default=None, compare=False)
    is_listed: bool = field(default=False, compare=False)

    def __str__(self) -> str:
        return self.url

    def __truediv__(self, name: str) -> "Remote":
        return Remote(f"{self.url}/{name}")

    @property
    def name(self) -> str:
        """Behind the last `/`."""
        return self.url.rpartition("/")[2]

    @property
    def suffix(self) -> str:
        """Ending of the name, as of a Path."""
        return PurePosixPath(self.name).suffix

    @property
    def parent(self) -> "Remote":
        """The folder that it lies in."""
        return Remote(self.url.rpartition("/")[0])

    def with_suffix(self, suffix: str) -> "Remote":
        """Beside it, with another ending."""
        return self.parent / PurePosixPath(self.name).with_suffix(suffix).name

    def relative_to(self, folder: "Remote") -> PurePosixPath:
        """Its place below a folder."""
        return PurePosixPath(self.url.removeprefix(f"{folder.url}/"))

    def stat(self) -> Status:
        """Size and state.

        Raises:
            FileNotFoundError: there is no such file.
            RemoteError: it cannot be asked for.
        """
        if self.status is not None:
            return self.status
        with _asking(self.url):
            return status_of(file_system(self.url).info(place_in(self.url)))

    def is_file(self) -> bool:
        """Whether there is such a file."""
        if self.is_listed:
            return self.status is not None
        return self._is("file")

    def is_dir(self) -> bool:
        """Whether there is such a folder, or something whose name begins so."""
        return not self.is_file() if self.is_listed else self._is("directory")

    def _is(self, kind: str) -> bool:
        try:
            with _asking(self.url):
                return file_system(self.url).info(place_in(self.url))["type"] == kind
        except FileNotFoundError:
            return False

    def iterdir(self) -> Iterator["Remote"]:
        """What lies in the folder, by one listing; each knows what it is.

        Raises:
            FileNotFoundError: there is no such folder.
            RemoteError: it cannot be listed.
        """
        with _asking(self.url):
            system, top = file_system(self.url), place_in(self.url)
            system.invalidate_cache(top)
            found = system.ls(top, detail=True)
        for about in found:
            if name := _below(about["name"], top):
                is_file = about["type"] == "file"
                yield Remote(f"{self.url}/{name}", status_of(about) if is_file else None, is_listed=True)

    def below(self) -> dict[str, Status]:
        """All files below the folder, by their places in it, by one listing; none where there is no such folder.

        Raises:
            RemoteError: it cannot be listed.
        """
        found: dict[str, Any] = {}
        with suppress(FileNotFoundError), _asking(self.url):
            system, top = file_system(self.url), place_in(self.url)
            system.invalidate_cache()
            found = system.find(top, detail=True)
            system.invalidate_cache()  # it keeps a thousand bytes a file
        names = ((_below(name, place_in(self.url)), about) for name, about in found.items())
        return {name: status_of(about) for name, about in names if name}

    def open(self, read_ahead: int = READ_AHEAD) -> Opened:
        """The file opened to be read, which fetches what is read and some bytes behind it.

        Raises:
            OSError: it cannot be opened, as fsspec has it.
        """
        options = {"block_size": read_ahead, "cache_type": "readahead"}
        return file_system(self.url).open(place_in(self.url), "rb", **options)

    def read_bytes(self, num_bytes: int | None = None) -> bytes:
        """Content of the file.

        Args:
            num_bytes: that it has, where a listing has said so: then one request does, and nobody asks for the size.

        Raises:
            OSError: it cannot be read, as fsspec has it.
            ValueError: it has another size now.
        """
        if num_bytes == 0:
            return b""
        limits = (None, None) if num_bytes is None else (0, num_bytes + 1)
        content = file_system(self.url).cat_file(place_in(self.url), *limits)
        if num_bytes not in (None, len(content)):
            raise ValueError(f"{self.url} has no longer {num_bytes:,} bytes: it was changed since it was listed")
        return content


def located(text: str | Path) -> Path | Remote:
    """What a setting or an option names: a path of this machine, or what lies behind a URL.

    Raises:
        ConfigError: the URL is not opened, or its protocol is not known here.
        UntrustedCodeError: data have named the URL, and the user never has.
    """
    if not is_url(text):
        return Path(text)
    url = str(text)
    if found := problem(url):
        raise ConfigError(f"{without_secrets(url)} is not opened: {found}.")
    if (path := local_path(url)) != url:
        return Path(path)
    url = url.rstrip("/")
    if is_named_by_data() and not is_known(url):
        raise UntrustedCodeError(
            f"{url} is named by data, and none of your own settings has ever named it, so it is not opened. If you "
            "trust whoever wrote it, name it in the settings of a command of yours, such as fusemix check"
        )
    _class_of(url)
    if not is_named_by_data():
        remember(url)
    return Remote(url)


def file_system(url: str) -> Any:
    """The file system of fsspec behind a URL, in this process.

    Raises:
        ConfigError: its package is not installed, or there is no such protocol.
    """
    from fsspec import asyn

    if _used_by[:] not in ([], [os.getpid()]):
        asyn.reset_lock()  # this process was forked, and has not the thread that its parent waits for
    _used_by[:] = [os.getpid()]
    kind = _class_of(url)
    return kind(**kind._get_kwargs_from_urls(url))


def place_in(url: str) -> str:
    """What the file system calls that which lies behind a URL."""
    return _class_of(url)._strip_protocol(url)


def _class_of(url: str) -> Any:
    from fsspec.registry import get_filesystem_class, known_implementations

    begins = BEGINS.match(url)
    assert begins is not None, "it is a URL"
    protocol = begins[1].lower()
    try:
        return get_filesystem_class(protocol)
    except ImportError as error:
        if protocol not in EXTRAS:
            advice = known_implementations.get(protocol, {}).get("err", first_line(error))
            raise ConfigError(f"{url} needs a package that is not installed: {advice}.") from error
        extra, package = EXTRAS[protocol]
        raise ConfigError(
            f"{url} needs {package}, the extra {extra!r} of fusemix, which is not installed. Install it with: "
            f"{install(packages_of(extra) or [package])}"
        ) from error
    except ValueError as error:
        raise ConfigError(
            f"{url}: fsspec knows no protocol {protocol!r}. Such as it knows are s3, gs and abfs."
        ) from error


def status_of(about: Mapping[str, Any]) -> Status:
    """Size and state of a file, out of what a file system of fsspec says of it.

    The state is a number that changes with the content or its time: where a file is the same one, so is the number.
    """
    said = next((f"{key} {about[key]}" for key in VERSIONS if about.get(key)), None)
    if said is None:
        time = next((about[key] for key in TIMES if about.get(key)), None)
        if isinstance(time, int | float):
            return Status(int(about.get("size") or 0), int(time * 1e9))
        said = time.isoformat() if isinstance(time, datetime) else str(time or "")
    digest = hashlib.sha256(said.encode()).digest()
    return Status(int(about.get("size") or 0), int.from_bytes(digest[:8], "big") >> 1 or 1)


def _below(name: str, folder: str) -> str | None:
    """Place of a file below a folder; None for the folder itself, and for a name that would leave it."""
    name, folder = name.strip("/"), folder.strip("/")
    inside = name.removeprefix(f"{folder}/")
    is_plain = inside != name and all(part not in ("", ".", "..") for part in inside.split("/"))
    return inside if is_plain else None


@contextmanager
def _asking(url: str) -> Iterator[None]:
    """Whatever a file system raises for lack of rights, network or credentials is said in one message."""
    try:
        yield
    except (FileNotFoundError, ConfigError):
        raise
    except Exception as error:  # each package has errors of its own
        raise RemoteError(
            f"{url} cannot be looked at: {type(error).__name__}: {without_secrets(first_line(error))}. Check the name, "
            "the network, and the credentials that fsspec finds in the environment or in ~/.config/fsspec."
        ) from error
