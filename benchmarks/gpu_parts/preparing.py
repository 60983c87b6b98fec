"""What is imported once, before the parts are forked; nothing here wakes the device."""

import importlib
import logging
import warnings
from pathlib import Path

from gpu_parts.context import Context
from train import ON_GPU, Sizes

TINY = Sizes(widths=(48, 32), blocks=1, batch=64, pairs=1_000, steps=3, embedding_dim=16)
PAPER = ON_GPU._replace(pairs=460_000, steps=8)
"""One epoch has as many batches as are timed, warm ones included."""
HEAVY = ("lightning", "transformers", "fusemix", "fusemix.api.stages", "our_training")


def prepare(tiny: bool, folder: Path, missing: list[str]) -> Context:
    warnings.filterwarnings("ignore")
    for name in HEAVY:
        importlib.import_module(name)
    logging.getLogger("transformers").setLevel(logging.ERROR)
    if tiny:
        import torch

        torch.set_num_threads(1)
    return Context(tiny, folder, TINY if tiny else PAPER, tuple(missing))
