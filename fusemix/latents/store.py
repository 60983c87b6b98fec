"""Read a sealed latent store, by memory map: opening costs the same for a thousand rows and for millions.

Place in the flow: manifest and shards -> LatentStore -> rows, gathered in one call.
"""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int64

from fusemix.errors import LatentStoreError
from fusemix.latents.manifest import QUARANTINE, Manifest, read_manifest, size_problem
from fusemix.latents.quarantine import quarantine_problem

OPEN_SHARDS = 256
MADE_AGAIN = "Run cache_features.py again with the same config and verify=true: it makes this shard again."


class LatentStore:
    """Latents of one encoder over one side.

    Args:
        folder: of the store.

    Raises:
        LatentStoreError: the store is not sealed, a shard is missing or of the wrong size, or the list of rows without
            latent is not the one that was sealed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manifest: Manifest = read_manifest(folder)
        for index in range(len(self.manifest.shards)):
            self._check(index)
        self._check_quarantine()
        # A map holds a file open, and systems allow a process about a thousand.
        self._shard = lru_cache(maxsize=OPEN_SHARDS)(self._map)

    @property
    def dim(self) -> int:
        """Width of a latent."""
        return self.manifest.dim

    @property
    def fingerprint(self) -> dict[str, Any]:
        """What made the latents, without what differs between splits of one data set."""
        not_encoder = {"items_sha256", "shard_size", "source_sha256"}
        return {key: value for key, value in self.manifest.fingerprint.items() if key not in not_encoder}

    def __len__(self) -> int:
        return self.manifest.num_rows

    def take(self, rows: Int64[np.ndarray, " n"]) -> Float[np.ndarray, "n dim"]:
        """Gather rows, in the order asked for, in the dtype of the store.

        Args:
            rows: in [0, len(self)); a rejected item's row is NaN.
        """
        size = self.manifest.shard_size
        gathered = np.empty((len(rows), self.dim), dtype=self.manifest.dtype)
        shard_of = rows // size
        for index in np.unique(shard_of).tolist():
            here = shard_of == index
            gathered[here] = self._shard(index)[rows[here] - index * size]
        return gathered

    def release(self) -> None:
        """Let go of what was mapped into memory; it is mapped again when it is asked for."""
        self._shard.cache_clear()

    def _check(self, index: int) -> None:
        shard = self.manifest.shards[index]
        if problem := size_problem(self.folder, shard):
            raise LatentStoreError(
                f"{self.folder / shard.file} {problem}, so the store is damaged. Run cache_features.py again with "
                "the same config: it makes this shard again."
            )

    def _check_quarantine(self) -> None:
        manifest = self.manifest
        if problem := quarantine_problem(self.folder, manifest.num_rejected, manifest.quarantine_sha256):
            raise LatentStoreError(
                f"{self.folder / QUARANTINE} {problem}. It says which rows have no latent, so the store cannot be used "
                "without it. Copy it again, or run cache_features.py with the same config: it makes the shards with "
                "such rows again."
            )

    def _map(self, index: int) -> np.ndarray:
        shard = self.manifest.shards[index]
        path, wanted = self.folder / shard.file, ((shard.num_rows, self.dim), np.dtype(self.manifest.dtype))
        try:
            latents = np.load(path, mmap_mode="r", allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise LatentStoreError(f"{path} is damaged: it is no array. {MADE_AGAIN}") from error
        if (latents.shape, latents.dtype) != wanted:
            raise LatentStoreError(f"{path} is damaged: it holds {latents.shape} {latents.dtype}. {MADE_AGAIN}")
        return latents


def concatenated(stores: Sequence[LatentStore], rows: Int64[np.ndarray, " n"]) -> Float[np.ndarray, "n dim"]:
    """The same rows of several stores, side by side."""
    parts = [store.take(rows) for store in stores]
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
