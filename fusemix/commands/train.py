"""Stage 2: train small adapters on cached latents.

    python train.py configs/train/glyphs.yaml [key=value …]

Reads latent sets; writes config.yaml, environment.json, metrics.csv, tensorboard/ and checkpoints/ to
<out>. A run that was interrupted goes on when the same command is given again.
"""

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path

import lightning as L
import yaml

from fusemix.build import train as build
from fusemix.config import TrainConfig, load_config, to_plain
from fusemix.environment import describe_environment
from fusemix.files import write_json, write_text
from fusemix.fusion.callbacks import MONITOR, best_score
from fusemix.fusion.module import FusionModule
from fusemix.fusion.runs import CHECKPOINTS, continue_metrics, prepare_folder
from fusemix.latents.loader import LatentData
from fusemix.progress import console


def main(argv: Sequence[str]) -> Path:
    """Train, choosing the best epoch on validation; returns the best checkpoint."""
    config = load_config(TrainConfig, argv)
    _quiet_lightning()
    out = Path(config.out)
    data, train, validation = build.latent_data(config)
    record = build.run_record(config, train, validation)
    L.seed_everything(config.seed, verbose=False)
    module = build.fusion_module(config, data, train, record)
    trainer = build.trainer(config)
    # Last of all that can fail: with overwrite it discards the run that is there.
    last, is_finished = prepare_folder(
        out, record, max_epochs=config.optim.max_epochs, resume=config.resume, overwrite=config.overwrite
    )
    best = out / CHECKPOINTS / "best.ckpt"
    if is_finished:
        console.print(f"{out} is trained already, with these settings on these data; overwrite=true trains it again")
        return best
    out.mkdir(parents=True, exist_ok=True)
    write_text(out / "config.yaml", yaml.safe_dump(to_plain(config), sort_keys=False, allow_unicode=True))
    write_json(out / "environment.json", describe_environment(str(trainer.strategy.root_device)))
    _tell_start(config, data, module, last)
    if last:
        continue_metrics(trainer)
    trainer.fit(module, data, ckpt_path=last, weights_only=True)
    recall = best_score(trainer)
    console.print(f"trained {out}: best {MONITOR} {recall:.4f}, checkpoint {best}")
    return best


def _tell_start(config: TrainConfig, data: LatentData, module: FusionModule, last: Path | None) -> None:
    sizes = ", ".join(f"{name} {count / 1e6:.2f} M" for name, count in module.model.num_parameters().items())
    mixed = f"mixed from {data.pairs_per_step:,}" if config.mixup_alpha > 0 else "not mixed"
    console.print(f"{len(data.links):,} pairs to train on; adapters of {sizes} parameters")
    console.print(
        f"{config.optim.batch_size:,} pairs a step, {mixed}: {config.optim.batch_size - 1:,} negatives for each; "
        f"choosing among {len(data.gallery.left_rows):,} and {len(data.gallery.right_rows):,} held-out items"
    )
    if last:
        console.print(f"going on from {last}")


def _quiet_lightning() -> None:
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # Latents are gathered whole, in this process, on purpose.
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    # The run folder holds config.yaml before the loggers look at it.
    warnings.filterwarnings("ignore", message=".*directory.* exists and is not empty.*")
    # Lightning 2.6.6 asks torch's pytree in a way that torch 2.15 calls old.
    warnings.filterwarnings("ignore", message=".*LeafSpec.*is deprecated.*")
