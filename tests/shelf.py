"""A tiny object store: `shelf://` names files of a folder of this machine, by an asynchronous file system of fsspec.

Unlike `memory://` it is seen by all processes; like those of s3fs and gcsfs its instances do not outlive a fork, and it
has ETags, folders that are only prefixes, and one listing for all that lies below. The folder is that of the variable
SHELF.
"""

import hashlib
import os
from pathlib import Path

import fsspec
from fsspec.asyn import AsyncFileSystem
from fsspec.spec import AbstractBufferedFile

CALLS: list[tuple[str, str]] = []
"""What was asked for in this process: method and path."""
GIVEN: list[int] = []
"""Bytes that each reading gave."""


class ShelfFileSystem(AsyncFileSystem):
    protocol = "shelf"
    root_marker = ""

    def _full(self, path: str) -> Path:
        return Path(os.environ["SHELF"], self._strip_protocol(path))

    def _about(self, path: str) -> dict:
        full = self._full(path)
        if full.is_dir():
            return {"name": path, "size": 0, "type": "directory"}
        content = full.read_bytes()
        return {"name": path, "size": len(content), "type": "file", "ETag": hashlib.md5(content).hexdigest()}

    async def _info(self, path, **kwargs):
        CALLS.append(("info", path))
        return self._about(self._strip_protocol(path))

    async def _ls(self, path, detail=True, **kwargs):
        CALLS.append(("ls", path))
        path = self._strip_protocol(path)
        found = [self._about(f"{path}/{entry.name}") for entry in sorted(self._full(path).iterdir())]
        return found if detail else [one["name"] for one in found]

    async def _find(self, path, maxdepth=None, withdirs=False, **kwargs):
        CALLS.append(("find", path))
        root = self._full("")
        below = sorted(one for one in self._full(path).rglob("*") if one.is_file())
        names = [one.relative_to(root).as_posix() for one in below]
        return {name: self._about(name) for name in names} if kwargs.get("detail") else names

    async def _cat_file(self, path, start=None, end=None, **kwargs):
        CALLS.append(("cat", path))
        content = self._full(path).read_bytes()[start:end]
        GIVEN.append(len(content))
        return content

    async def _pipe_file(self, path, value, mode="overwrite", **kwargs):
        CALLS.append(("put", path))
        self._full(path).parent.mkdir(parents=True, exist_ok=True)
        self._full(path).write_bytes(value)

    async def _put_file(self, lpath, rpath, **kwargs):
        if os.environ.get("SHELF_FULL_BEHIND") == rpath.rpartition("/")[2]:
            raise OSError(f"https://me:secret@shelf/{rpath}?X-Amz-Signature=abc: no room")
        if os.environ.get("SHELF_ENDS_AT") == rpath.rpartition("/")[2]:
            os._exit(9)  # as a process that is killed
        await self._pipe_file(rpath, Path(lpath).read_bytes())

    async def _rm_file(self, path, **kwargs):
        CALLS.append(("rm", path))
        self._full(path).unlink()

    def _open(self, path, mode="rb", block_size=None, cache_type="readahead", **kwargs):
        CALLS.append(("open", path))
        return _ShelfFile(self, path, mode, block_size=block_size, cache_type=cache_type)


class _ShelfFile(AbstractBufferedFile):
    def _fetch_range(self, start, end):
        return self.fs.cat_file(self.path, start, end)


fsspec.register_implementation("shelf", ShelfFileSystem, clobber=True)
