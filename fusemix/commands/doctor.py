"""Say what is here and usable, and why not where it is not.

fusemix doctor
"""

import os
import shutil
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import torch
from rich.table import Column

from fusemix.config import DoctorConfig
from fusemix.errors import first_line
from fusemix.machine.environment import PACKAGES, installed
from fusemix.machine.limits import usable_cores
from fusemix.progress import console
from fusemix.retrieval.index import gpu_problem
from fusemix.tables import BOXED, terminal_table

IMPORTED = {"soundfile": "soundfile", "torchcodec": "torchcodec.decoders", "scikit-image": "skimage", "soxr": "soxr"}
"""Packages that can be installed and still not work, with the module that shows it."""


def main(config: DoctorConfig) -> dict[str, str]:
    """Print a table of packages, devices and back ends; returns it as name -> finding."""
    findings = {**_packages(), **_devices(), **_faiss(), **_surroundings()}
    columns = [Column(), Column()]
    console.print(terminal_table("fusemix doctor", columns, [*findings.items()], style=_style, frame=BOXED))
    return findings


def _style(row: Sequence[str]) -> str:
    return "yellow" if row[1].startswith("no") else ""


def _packages() -> dict[str, str]:
    found = {}
    for package in (*PACKAGES, "scikit-image"):
        if package in ("faiss-cpu", "faiss-gpu"):
            continue
        number = installed(package)
        finding = number or "not installed"
        if number and package in IMPORTED:
            try:
                import_module(IMPORTED[package])
            except (ImportError, OSError, RuntimeError) as error:
                finding = f"not usable: {number} is installed, but {first_line(error)[:160]}"
        found[package] = finding
    return found


def _devices() -> dict[str, str]:
    found = {"cpu": f"{usable_cores()} cores, {torch.get_num_threads()} threads for torch"}
    if torch.cuda.is_available():
        for number in range(torch.cuda.device_count()):
            about = torch.cuda.get_device_properties(number)
            bf16 = "bf16" if torch.cuda.is_bf16_supported() else "no bf16"
            found[f"cuda:{number}"] = f"{about.name}, {about.total_memory / 2**30:.0f} GiB, {bf16}"
    elif torch.version.cuda is None:
        found["cuda"] = "no: this torch is built without CUDA"
    else:
        found["cuda"] = f"no: torch is built for CUDA {torch.version.cuda}, but finds no GPU or no driver"
    return found


def _faiss() -> dict[str, str]:
    package = next((name for name in ("faiss-gpu", "faiss-cpu") if installed(name)), None)
    if package is None:
        return {"faiss": "not installed. Install it with: pip install faiss-cpu (or faiss-gpu on Linux x86-64)"}
    problem = gpu_problem()
    on_gpu = "yes: one search in a process of its own went well" if problem is None else f"no: {problem}"
    return {"faiss": f"{package} {installed(package)}", "faiss on GPU": on_gpu}


def _surroundings() -> dict[str, str]:
    free = shutil.disk_usage(".").free / 2**30
    offline = os.environ.get("HF_HUB_OFFLINE", "") not in ("", "0")
    shared = shutil.disk_usage("/dev/shm").total / 2**30 if Path("/dev/shm").is_dir() else None
    return {
        "shared memory": f"{shared:.2g} GiB, for what workers hand over" if shared else "as large as memory",
        "hub": "offline (HF_HUB_OFFLINE is set)" if offline else "online (HF_HUB_OFFLINE is not set)",
        "disk": f"{free:,.0f} GiB free in this folder",
    }
