"""The machine: versions, and the rates that everything else is measured against."""

import os
import platform
import shutil
import subprocess
from typing import Any

import torch

from gpu_parts.context import Context, gigabytes, milliseconds


def machine(context: Context) -> dict[str, Any]:
    """Versions, memory, and rates of products and copies."""
    from fusemix.machine.environment import device_name, installed, multiplies_bfloat16

    device, size = context.device, 256 if context.tiny else 8192
    packages = ("torch", "torchvision", "lightning", "transformers", "triton", "faiss-gpu", "numpy")
    found: dict[str, Any] = {
        "device": device_name(str(device)),
        "python": platform.python_version(),
        "versions": {name: number for name in packages if (number := installed(name))},
        "cuda": torch.version.cuda,
        "driver": driver(),
        "cores": os.cpu_count(),
        "bfloat16_in_hardware": multiplies_bfloat16(device),
        "bf16_tflops": rate(device, torch.bfloat16, size) / 1e12,
    }
    if context.on_gpu:
        found["free_gb"], found["total_gb"] = map(gigabytes, torch.cuda.mem_get_info(device))
    for name, precision in (("fp32_tflops", "highest"), ("tf32_tflops", "high")):
        torch.set_float32_matmul_precision(precision)
        found[name] = rate(device, torch.float32, size) / 1e12
    return found | copies(context)


def rate(device: torch.device, dtype: torch.dtype, size: int) -> float:
    """FLOP/s of one square product of random numbers."""
    one, other = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    return 2 * size**3 / (milliseconds(lambda: one @ other, device, 5, 2) / 1e3)


def copies(context: Context) -> dict[str, float]:
    """GB/s within the device, counting reads and writes, and from pinned memory to it."""
    numbers = torch.ones(1 << (20 if context.tiny else 30), dtype=torch.uint8, device=context.device)
    copy, size = torch.empty_like(numbers), gigabytes(numbers.numel())
    found = {"copy_gb_per_s": 2e3 * size / milliseconds(lambda: copy.copy_(numbers), context.device, 5)}
    if context.on_gpu:
        pinned = torch.ones(1 << 28, dtype=torch.uint8, pin_memory=True)
        part = copy[: len(pinned)]
        took = milliseconds(lambda: part.copy_(pinned, non_blocking=True), context.device, 3)
        found["from_pinned_gb_per_s"] = 1e3 * gigabytes(len(pinned)) / took
    return found


def driver() -> str | None:
    """Version of NVIDIA's driver, by its own tool."""
    if not shutil.which("nvidia-smi"):
        return None
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    return done.stdout.splitlines()[0].strip() if done.returncode == 0 and done.stdout else None
