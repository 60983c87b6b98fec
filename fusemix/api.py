"""The three stages from Python.

    fusemix.train("configs/train/glyphs.yaml", out="runs/mine", optim={"lr": 1e-3})

Place in the flow: files of settings and keyword arguments -> a command. Errors that a user can mend are FusemixErrors.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fusemix.cli.called import run_command


def cache_features(*files: str | Path, **settings: Any) -> list[Path]:
    """Run frozen encoders once over a data set, as `cache_features.py` does.

    Args:
        *files: of settings; later ones win.
        **settings: by their names in these files; they win over all files. Names with a dot: `**{"optim.lr": 1e-3}`.

    Returns:
        Folders of the latent sets, one a split.

    Raises:
        FusemixError: something that a user can mend.
    """
    return run_command("cache_features", _arguments(files, settings))


def train(*files: str | Path, **settings: Any) -> Path:
    """Train adapters on cached latents, as `train.py` does.

    Args:
        *files: of settings; later ones win.
        **settings: as for `cache_features`.

    Returns:
        The best checkpoint.

    Raises:
        FusemixError: something that a user can mend.
    """
    return run_command("train", _arguments(files, settings))


def eval_retrieval(*files: str | Path, **settings: Any) -> dict[str, Any]:
    """Measure retrieval with a trained run, as `eval_retrieval.py` does.

    Args:
        *files: of settings; later ones win.
        **settings: as for `cache_features`.

    Returns:
        What report.json holds; `metrics` are in [0, 1], by direction and name.

    Raises:
        FusemixError: something that a user can mend.
    """
    return json.loads(run_command("eval_retrieval", _arguments(files, settings)).read_text(encoding="utf-8"))


def _arguments(files: tuple[str | Path, ...], settings: Mapping[str, Any]) -> list[str]:
    return [*map(str, files), *(f"{name}={_text(value)}" for name, value in settings.items())]


def _text(value: Any) -> str:
    """A value as it would be typed."""
    return str(value) if isinstance(value, str | Path) else json.dumps(value, ensure_ascii=False, default=str)
