"""Latents that somebody has in memory: numpy arrays or torch tensors, on any device, of any floating point type.

Place in the flow: a user's array -> GivenLatents: float32 rows on the CPU, some at a time -> a store, or an adapter.
"""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from fusemix.errors import ConfigError, RunError
from fusemix.latents.storable import rounded
from fusemix.models.embedder import Embedder

ROWS_AT_ONCE = 8192


class GivenLatents:
    """Latents of one modality, read in float32; nothing is copied before it is asked for.

    Args:
        name: what the user calls them, for messages.
        value: (rows, dim), a numpy array, a torch tensor, or anything that numpy makes an array of.

    Attributes:
        name: as given.
        dim: width of a row.

    Raises:
        ConfigError: it is no such array, or some number of it is NaN, infinite, or beyond float32.
    """

    def __init__(self, name: str, value: Any) -> None:
        self.name, self._rows = name, _array_of(name, value)
        self.dim = int(self._rows.shape[1])
        self._require_finite()

    def __len__(self) -> int:
        return int(self._rows.shape[0])

    def part(self, start: int, stop: int) -> Float32[np.ndarray, "some {self.dim}"]:
        """Rows from `start` up to `stop`."""
        some = self._rows[start:stop]
        if isinstance(some, Tensor):
            return some.detach().to("cpu", torch.float32).numpy()
        with np.errstate(over="ignore"):
            return np.ascontiguousarray(some, dtype=np.float32)

    def _require_finite(self) -> None:
        bad = [
            at + row
            for at in range(0, len(self), ROWS_AT_ONCE)
            for row in np.flatnonzero(~np.isfinite(self.part(at, at + ROWS_AT_ONCE)).all(axis=1)).tolist()
        ]
        if bad:
            raise ConfigError(
                f"{self.name} has NaN, infinity or a number beyond float32 in {len(bad):,} of {len(self):,} rows, the "
                f"first of them row {bad[0]}. Leave these rows out, and their links."
            )


def _array_of(name: str, value: Any) -> Any:
    """The value as an array or a tensor of floating point numbers with two axes."""
    if not isinstance(value, Tensor):
        try:
            value = np.asarray(value)
        except ValueError as error:
            raise ConfigError(f"{name} is no array: {error}") from error
    is_float = value.is_floating_point() if isinstance(value, Tensor) else value.dtype.kind == "f"
    shape = tuple(value.shape)
    if len(shape) != 2:
        hint = " One row is array[None]." if len(shape) == 1 else ""
        raise ConfigError(f"{name} has the shape {shape}, but latents are (rows, dim).{hint}")
    if not is_float:
        raise ConfigError(f"{name} holds {value.dtype}, but latents are floating point numbers, such as float32.")
    if shape[1] == 0:
        raise ConfigError(f"{name} has the shape {shape}: its rows hold no numbers.")
    if isinstance(value, Tensor) and (value.is_meta or value.layout != torch.strided):
        raise ConfigError(f"{name} is a tensor without its numbers at hand ({value.device}, {value.layout}).")
    return value


def is_latents(value: Any) -> bool:
    """Whether a value looks like latents: floating point numbers, of many items with two axes or of one with one."""
    if isinstance(value, Tensor):
        return value.ndim in (1, 2) and value.is_floating_point()
    return isinstance(value, np.ndarray) and value.ndim in (1, 2) and value.dtype.kind == "f"


def embedded(embedder: Embedder, modality: str, latents: GivenLatents) -> Float32[np.ndarray, "rows dim"]:
    """Unit vectors of latents, rounded as the stores that the model was trained on would hold them.

    Args:
        embedder: the model.
        modality: of the latents; those of several encoders side by side, in the order of training.
        latents: as they were given.

    Raises:
        RunError: they are of another width than those that the model was trained on.
    """
    trained = embedder.trained
    trained.require_known(modality)
    dims, fingerprints = trained.record["dims"][modality], trained.record["encoders"][modality]
    if latents.dim != sum(dims):
        raise RunError(
            f"{latents.name} is {latents.dim:,} wide, and {trained.folder} was trained on {modality} latents of width "
            f"{' + '.join(map(str, dims))}."
        )
    found = np.empty((len(latents), embedder.dim), np.float32)
    for at in range(0, len(latents), ROWS_AT_ONCE):
        stores = np.split(latents.part(at, at + ROWS_AT_ONCE), np.cumsum(dims)[:-1], axis=1)
        held = [
            rounded(store, fingerprint["dtype"]).astype(np.float32)
            for store, fingerprint in zip(stores, fingerprints, strict=True)
        ]
        found[at : at + ROWS_AT_ONCE] = embedder.adapted(modality, np.concatenate(held, axis=1))
    return found
