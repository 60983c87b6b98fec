"""The command on the tiny pipelines, with few steps and small pictures."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fusemix.cli.called import run_command

SMALL = {"num": 2, "steps": 2, "height": 32, "width": 32}


def generate(drawing: Any, out: Path, *given: str, pipeline: str = "kandinsky", **changes: Any) -> Path:
    """Draw; `given` is what is drawn from, in words of the command line."""
    adapter = {"stable": "plain", "xl": "xl"}.get(pipeline)
    with_adapter = {"ip_adapter": drawing.adapters, "ip_adapter_weights": f"{adapter}.safetensors"} if adapter else {}
    settings = {"model": drawing.run, "pipeline": getattr(drawing, pipeline), **with_adapter, **SMALL, **changes}
    words = [f"{name}={value}" for name, value in {**settings, "out": out, "compute": "cpu"}.items()]
    return run_command("generate", [*given, *words])


def pictures(folder: Path) -> dict[str, np.ndarray]:
    return {path.name: np.asarray(Image.open(path)).astype(int) for path in sorted(folder.glob("*_seed*.png"))}


def apart(one: np.ndarray, other: np.ndarray) -> int:
    """Levels of 255 that two pictures are apart at most."""
    return int(np.abs(one - other).max())
