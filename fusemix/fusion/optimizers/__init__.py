"""Optimisers: what makes steps of gradients. One file each; a factory is called as `factory(params, lr, **options)`.

Place in the flow: parameter groups, with their weight decay (schedule.py), and the peak rate -> torch.optim.Optimizer.
"""

from collections.abc import Sequence

from fusemix.errors import ConfigError
from fusemix.parts.ranges import share
from fusemix.parts.registry import Registry

OPTIMIZERS = Registry(
    "optimizer",
    {
        "adamw": "fusemix.fusion.optimizers.adamw:adamw",
        "lion": "fusemix.fusion.optimizers.lion:lion",
    },
    given=["params", "lr"],
)


def two(betas: Sequence[float]) -> tuple[float, float]:
    """Two shares, each in [0, 1).

    Raises:
        ConfigError: they are not.
    """
    if len(betas) != 2:
        raise ConfigError(
            f"optimizer.options.betas holds {len(betas)} numbers, but must hold two, such as [0.9, 0.99]."
        )
    for beta in betas:
        share("optimizer.options.betas", beta)
    return float(betas[0]), float(betas[1])
