"""Weights & Biases. Place in the flow: see loggers/__init__.py."""

import os
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import wandb as package
from lightning.pytorch.loggers import Logger, WandbLogger

from fusemix.fusion.loggers.elsewhere import Elsewhere

WAY_OUT = (
    "Log in with `wandb login`; or log to the disk alone, with logger.options.offline=true or WANDB_MODE=offline, and "
    "send it later with `wandb sync`."
)


class _Ended(WandbLogger):
    """Lightning's leaves a run open, so that the next one in the same process would be logged into it.

    A run of the caller's own, which Lightning logs into, stays open.
    """

    def finalize(self, status: str) -> None:
        """End the run."""
        super().finalize(status)
        self.experiment.finish(exit_code=0 if status == "success" else 1)


def wandb(
    run: Any,
    *,
    project: str = "fusemix",
    entity: str | None = None,
    name: str | None = None,
    group: str | None = None,
    tags: Sequence[str] = (),
    offline: bool = False,
) -> Logger:
    """Weights & Biases (wandb.ai), or a server of your own; WANDB_MODE, WANDB_DIR and the like are heeded.

    Args:
        run: a LoggedRun.
        project: which runs stand beside one another.
        entity: user or team; your default one where it is not given.
        name: of the run; that of its folder where it is not given.
        group: which runs belong together.
        tags: of the run.
        offline: write to WANDB_DIR (or ./wandb) alone; `wandb sync` sends it later.
    """

    def connect(known: str | None) -> tuple[Logger, str]:
        settings: dict[str, Any] = {
            "project": project,
            "name": name or run.name,
            "id": known or uuid4().hex[:8],
            "save_dir": os.environ.get("WANDB_DIR", "."),
            "entity": entity,
            "group": group,
            "tags": list(tags) or None,
            "mode": "offline" if offline else None,
        }
        logger = (WandbLogger if package.run else _Ended)(**settings)
        return logger, str(logger.experiment.id)

    return Elsewhere("wandb", connect, WAY_OUT)
