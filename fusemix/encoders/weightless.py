"""Encoders for workers that are not forked: pickled, without the weights of their networks.

Place in the flow: a data set's reader and encoders -> bytes -> the same in a worker, which prepares and never encodes.

With its weights each worker would hold a model of its own, and torch would send each tensor as an open file.
"""

import io
import pickle
from typing import Any, NoReturn

from torch import nn

from fusemix.errors import EncoderError


def without_weights(content: Any) -> bytes:
    """Pickle something; a network in it that has parameters becomes a `Weightless`."""
    file = io.BytesIO()
    _Pickler(file, protocol=pickle.HIGHEST_PROTOCOL).dump(content)
    return file.getvalue()


class Weightless:
    """Stands where a network was, and says so when it is used."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, *inputs: Any, **settings: Any) -> NoReturn:
        """Refuse.

        Raises:
            EncoderError: always.
        """
        raise EncoderError(
            f"an encoder uses its network ({self._name}) before `encode`, and workers are without its weights on this "
            "system. Set num_workers=0."
        )

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return self()


class _Pickler(pickle.Pickler):
    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, nn.Module) and next(obj.parameters(), None) is not None:
            return Weightless, (type(obj).__name__,)
        return NotImplemented
