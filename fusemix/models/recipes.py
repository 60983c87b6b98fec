"""What builds an encoder or a data set, as plain data.

Place in the flow: config of caching -> manifest -> run folder, exported model, latent set or index -> built again.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from fusemix.datasets import DATASETS
from fusemix.encoders import CARRIERS, ENCODERS, HUB_PREFIXES
from fusemix.interfaces import PairSet
from fusemix.parts.trust import named_by_data, require_trust

SOURCES = "encoders.json"
"""In a run folder: what builds the encoders again."""

Source = Mapping[str, Any]
"""`name` and `options` of an encoder, as under `encoders` in the config of caching."""


class NamedSource(NamedTuple):
    """What builds an encoder.

    Attributes:
        name: of its latent store where it is known, else of its modality with a number.
        source: None where nothing says it.
        is_given: whether the user named it just now; it came with the model otherwise.
    """

    name: str
    source: Source | None
    is_given: bool = False


def code_of(source: Source | None) -> list[str]:
    """What building an encoder would run that is not fusemix's own, as its source has it."""
    if source is None:
        return []
    runs = [] if ENCODERS.is_own(source.get("name")) else [str(source.get("name"))]
    options = source.get("options") or {}
    model = str(options.get("model", ""))
    if ":" in model and model not in CARRIERS and not model.startswith(HUB_PREFIXES) and not Path(model).exists():
        runs.append(f"model={model}")
    if options.get("trust_remote_code"):
        runs.append(f"trust_remote_code of {model or source.get('name')}")
    return runs


def foreign_data(source: Source) -> list[str]:
    """What making a data set would run that is not fusemix's own, as its source has it."""
    return [] if DATASETS.is_own(source["name"]) else [str(source["name"])]


def pairs_of(source: Source, split: str, where: str, trust_code: bool) -> PairSet:
    """The data set that a latent set or an index was made from, as that says itself.

    Args:
        source: `name` and `options`.
        split: that it was.
        where: what says it, for messages.
        trust_code: whether a data set that is not fusemix's own may run.

    Raises:
        UntrustedCodeError: it may not.
    """
    require_trust(where, foreign_data(source), trust_code)
    with named_by_data():
        return DATASETS.build(source["name"], source["options"], split=split)
