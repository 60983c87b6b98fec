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

ENCODERS_FILE = "encoders.json"
"""In a run folder: what builds the encoders again."""

EncoderRecipe = Mapping[str, Any]
"""`name` and `options` of an encoder, as under `encoders` in the config of caching."""
DataRecipe = Mapping[str, Any]
"""`name` and `options` of a data set, as under `dataset` in the config of caching."""


class NamedRecipe(NamedTuple):
    """What builds an encoder.

    Attributes:
        name: of its latent store.
        recipe: None where nothing says it.
        is_given: whether the user named it just now; it came with the model otherwise.
    """

    name: str
    recipe: EncoderRecipe | None
    is_given: bool = False


def code_of(recipe: EncoderRecipe | None) -> list[str]:
    """What building an encoder would run that is not fusemix's own, as its recipe has it."""
    if recipe is None:
        return []
    runs = [] if ENCODERS.is_own(recipe.get("name")) else [str(recipe.get("name"))]
    options = recipe.get("options") or {}
    model = str(options.get("model", ""))
    if ":" in model and model not in CARRIERS and not model.startswith(HUB_PREFIXES) and not Path(model).exists():
        runs.append(f"model={model}")
    if options.get("trust_remote_code"):
        runs.append(f"trust_remote_code of {model or recipe.get('name')}")
    return runs


def foreign_data(recipe: DataRecipe) -> list[str]:
    """What making a data set would run that is not fusemix's own, as its recipe has it."""
    return [] if DATASETS.is_own(recipe["name"]) else [str(recipe["name"])]


def pairs_of(recipe: DataRecipe, split: str, where: str, trust_code: bool) -> PairSet:
    """The data set that a latent set or an index was made from, as that says itself.

    Args:
        recipe: `name` and `options`.
        split: that it was.
        where: what says it, for messages.
        trust_code: whether a data set that is not fusemix's own may run.

    Raises:
        UntrustedCodeError: it may not.
    """
    require_trust(where, foreign_data(recipe), trust_code)
    with named_by_data():
        return DATASETS.build(recipe["name"], recipe["options"], split=split)
