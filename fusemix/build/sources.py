"""What builds an encoder, as plain data.

Place in the flow: config of caching -> manifest -> run folder or exported model -> the encoder, built again.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

SOURCES = "encoders.json"
"""In a run folder: what builds the encoders again."""

Source = Mapping[str, Any]
"""`name` and `options` of an encoder, as under `encoders` in the config of caching."""


class NamedSource(NamedTuple):
    """What builds an encoder.

    Attributes:
        name: of its latent store where it is known, else of its modality with a number.
        source: None where nothing says it.
        asks_first: whether it came with a model from elsewhere and would run code that is not fusemix's own.
    """

    name: str
    source: Source | None
    asks_first: bool = False


def runs_other_code(source: Source | None) -> bool:
    """Whether building it runs code that a config names or a model's repository brings."""
    return source is not None and (":" in source["name"] or bool(source.get("options", {}).get("trust_remote_code")))
