"""Which settings name parts, and the tables that these are looked up in.

Place in the flow: commands -> load_config, which reads a part's options by the types of its factory.
"""

from fusemix.datasets import DATASETS
from fusemix.encoders import ENCODERS
from fusemix.fusion.adapters import ADAPTERS
from fusemix.fusion.losses import LOSSES
from fusemix.fusion.mixup import MIXUPS

PARTS = {
    "dataset": DATASETS,
    "encoders": ENCODERS,
    "adapter": ADAPTERS,
    "adapters": ADAPTERS,
    "loss": LOSSES,
    "mixup": MIXUPS,
}
