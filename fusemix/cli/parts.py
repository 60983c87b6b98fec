"""Which settings name parts, and the tables that these are looked up in.

Place in the flow: commands -> load_config, which reads a part's options by the types of its factory.
"""

from typing import Any, get_args

from fusemix.config.shapes import is_part
from fusemix.config.typed import kinds_of_fields
from fusemix.datasets import DATASETS
from fusemix.encoders import ENCODERS
from fusemix.fusion.adapters import ADAPTERS
from fusemix.fusion.loggers import LOGGERS
from fusemix.fusion.losses import LOSSES
from fusemix.fusion.mixup import MIXUPS
from fusemix.fusion.optimizers import OPTIMIZERS
from fusemix.parts.kinds import members, settings_of
from fusemix.parts.registry import Registry

PARTS = {
    "dataset": DATASETS,
    "encoder": ENCODERS,
    "encoders": ENCODERS,
    "adapter": ADAPTERS,
    "adapters": ADAPTERS,
    "loss": LOSSES,
    "mixup": MIXUPS,
    "optimizer": OPTIMIZERS,
    "logger": LOGGERS,
}


def parts_of(schema: Any) -> dict[str, Registry]:
    """Setting -> registry of the parts that it names, of the settings of one command."""
    kinds = kinds_of_fields(schema)
    return {key: registry for key, registry in PARTS.items() if key in kinds and _names_parts(kinds[key])}


def _names_parts(kind: Any) -> bool:
    return is_part(settings_of(kind)) or any(_names_parts(one) for of in members(kind) for one in get_args(of))
