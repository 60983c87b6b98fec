"""What a file of an index was when it was written, and whether it still is.

Place in the flow: a file that is written -> Seal in index.json -> a look at every opening, all of it for `verify`.

Most bytes of a file are numbers: where one is wrong, a score is. The others say how many there are and where, and a
wrong one there sends a library out of its memory. These, the frame, are few, and compared before anything is opened.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from fusemix.disk.files import BLOCK_BYTES, sha256_of_file


@dataclass(frozen=True)
class Seal:
    """What a file was.

    Attributes:
        num_bytes: size.
        sha256: of all bytes.
        bulk: first byte of the numbers, and the first one behind them.
        frame_sha256: of all bytes around these.
    """

    num_bytes: int
    sha256: str
    bulk: list[int]
    frame_sha256: str


def seal_of(path: Path, bulk: tuple[int, int]) -> Seal:
    """Seal a file that was just written.

    Args:
        path: of the file.
        bulk: as in `Seal`.
    """
    return Seal(path.stat().st_size, sha256_of_file(path), list(bulk), _frame_sha256(path, bulk))


def problem_of(path: Path, seal: Seal | None, *, whole: bool = False) -> str | None:
    """What has become of a file, in words behind its path; None where it is what it was.

    Args:
        path: of the file.
        seal: None where it was written before there were any; then it must only be there.
        whole: compare every byte, and not only size and frame.

    Raises:
        OSError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            num_bytes = file.seek(0, 2)
    except FileNotFoundError:
        return "is missing"
    if seal is None:
        return None
    if num_bytes != seal.num_bytes:
        return f"has {num_bytes:,} bytes, and had {seal.num_bytes:,} when it was sealed"
    if whole:
        is_same = sha256_of_file(path) == seal.sha256
    else:
        is_same = _frame_sha256(path, (seal.bulk[0], seal.bulk[1])) == seal.frame_sha256
    return None if is_same else "does not have the content that it was sealed with"


def _frame_sha256(path: Path, bulk: tuple[int, int]) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        left = bulk[0]
        while left > 0 and (block := file.read(min(left, BLOCK_BYTES))):
            digest.update(block)
            left -= len(block)
        file.seek(bulk[1])
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()
