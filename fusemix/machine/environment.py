"""What a run ran on: versions, machine, device.

Place in the flow: written beside every run and report.
"""

import contextlib
import ctypes
import os
import platform
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from fusemix.errors import ConfigError, first_line
from fusemix.machine.limits import memory_left, usable_cores

PACKAGES = (
    "fusemix",
    "torch",
    "lightning",
    "transformers",
    "open_clip_torch",
    "timm",
    "sentence-transformers",
    "datasets",
    "faiss-gpu",
    "faiss-cpu",
    "omegaconf",
    "numpy",
    "pyarrow",
    "soundfile",
    "soxr",
    "torchcodec",
)


@cache
def installed(package: str) -> str | None:
    """Version of a package, or None where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def describe_environment(device: str) -> dict[str, object]:
    """Versions and machine as plain data.

    Args:
        device: that the work ran on, as torch names it.
    """
    found = {package: installed(package) for package in PACKAGES}
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "device": device_name(device),
        "packages": {package: number for package, number in found.items() if number},
    }


def device_name(device: str) -> str:
    """The device's own name."""
    if device.startswith("cuda"):
        return f"{device}: {torch.cuda.get_device_name(device)}"
    return f"{device}: {_processor()}" if device == "cpu" else device


def _processor() -> str:
    """What Linux calls the processor; elsewhere what Python knows of it."""
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether a device multiplies bfloat16 matrices in hardware, several times as fast as float32."""
    if device.type == "cuda":
        with torch.cuda.device(device):
            return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and "amx_bf16" in _cpuinfo("flags").split()


def multiply_float32(*, exactly: bool) -> None:
    """Whether products and convolutions of float32 keep all its bits on a GPU, or become TF32, with ten and far faster.

    It holds for this process, from now on; a CPU keeps all of them always.
    """
    torch.set_float32_matmul_precision("highest" if exactly else "high")
    torch.backends.cudnn.allow_tf32 = not exactly


def _cpuinfo(key: str) -> str:
    """What Linux says of the first processor, or nothing."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.is_file() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(key)), "")


def available_memory() -> int:
    """Bytes of the host's memory that are still free: what the system says, and at most what a container may take."""
    available = _number_in(Path("/proc/meminfo"), "MemAvailable:") * 1024
    available = available or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    left = memory_left()
    return available if left is None else min(available, left)


def peak_memory() -> int:
    """Largest resident size of this process so far, in bytes; 0 where the system does not say.

    On Linux `getrusage` gives a process that was just started the peak of the one that started it.
    """
    if peak := _number_in(Path("/proc/self/status"), "VmHWM:"):
        return peak * 1024
    if sys.platform == "win32":
        return 0
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _number_in(path: Path, key: str) -> int:
    """The number behind a key in a file of the system's, or zero."""
    lines = path.read_text().splitlines() if path.is_file() else []
    return next((int(line.split()[1]) for line in lines if line.startswith(key)), 0)


def prepare_device(device: torch.device) -> None:
    """What a device needs before anything is encoded; costs next to nothing when it was called before."""
    if device.type == "cpu":
        _prepare_cpu()


def _prepare_cpu() -> None:
    """Memory that stays, and no more threads than may run at once: one that a container halts holds up all others."""
    most = _first_prepared()
    if "OMP_NUM_THREADS" not in os.environ and torch.get_num_threads() > most:
        torch.set_num_threads(most)


@cache
def _first_prepared() -> int:
    keep_freed_memory()
    return usable_cores()


def keep_freed_memory() -> None:
    """Let the C library keep freed memory for the next batch, where it is glibc.

    It would give large blocks back to the system, and a CPU would spend up to two thirds of its time on fetching
    fresh pages for the next pass of an encoder. Numbers of the parameters: man 3 mallopt.
    """
    trim_threshold, mmap_max = -1, -4
    with contextlib.suppress(OSError, AttributeError):  # another system, or another C library
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(mmap_max, 0)
        libc.mallopt(trim_threshold, 2**31 - 1)


def give_back_freed_memory() -> None:
    """Give the system what the C library kept: after a fork, each such page would be copied before it is used again."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def resolve_device(device: str) -> str:
    """A device that is there; `auto` takes a GPU where there is one.

    Raises:
        ConfigError: it is not there.
    """
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return _there(device, f"device={device}")


def one_device(accelerator: str, devices: str) -> str:
    """The device of a command that computes on one, as torch names it.

    Args:
        accelerator: auto, cpu, gpu, cuda or mps.
        devices: `auto` or `1`; or the number of a card and a comma, such as `1,`.

    Raises:
        ConfigError: it is not there.
    """
    gpu = "cuda" if torch.cuda.is_available() or not torch.backends.mps.is_available() else "mps"
    kind = {"auto": resolve_device("auto"), "gpu": gpu}.get(accelerator, accelerator)
    said = f"compute.accelerator={accelerator}, compute.devices={devices}"
    if kind == "cpu" and devices.endswith(","):
        raise ConfigError(f"{said} cannot be used here: GPUs have numbers, and a CPU has none. See `fusemix doctor`.")
    return _there(f"{kind}:{devices.removesuffix(',')}" if devices.endswith(",") else kind, said)


def _there(device: str, said: str) -> str:
    """A device that was just used; `said` is how it was asked for."""
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:  # AssertionError: torch was built without that kind
        reason = first_line(error)
        raise ConfigError(f"{said} cannot be used here: {reason}. See `fusemix doctor`.") from error
    return device
