"""What a process may take of its machine: cores and memory, under containers, jobs and their control groups.

Place in the flow: the system's files -> how many workers read, how many threads compute, what memory is available.

A group's limit holds for all that is in it, and so do those of the groups around it; see cgroups(7), and in the
kernel's documentation admin-guide/cgroup-v2 and scheduler/sched-bwc (version 1). Inside a container only the groups
from its own on can be seen.
"""

import math
import os
import socket
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

PROC = Path("/proc")


class Cores(NamedTuple):
    """What one process may compute on.

    Attributes:
        machine: where it runs.
        mask: numbers of the cores that the system lets it use.
        limits: group that it is in -> cores that all processes of this group may take together.
    """

    machine: str
    mask: frozenset[int]
    limits: Mapping[int, Fraction]


def cores_of_this_process(proc: Path = PROC) -> Cores:
    """What this process may compute on."""
    has_mask = hasattr(os, "sched_getaffinity")
    mask = os.sched_getaffinity(0) if has_mask else range(os.cpu_count() or 1)
    boot = _read(proc / "sys/kernel/random/boot_id")
    return Cores(f"{socket.gethostname()} {boot}", frozenset(mask), core_limits(proc))


def share_of_cores(mine: Cores, everybody: Sequence[Cores]) -> int:
    """Whole cores for one process, where each core and each limit is split evenly among those that may use it.

    Processes that were given cores of their own (a SLURM task with `--cpus-per-task`) keep all of them, and those that
    were given the same ones share them.

    Args:
        mine: of the process.
        everybody: of all processes that work together, this one included.

    Returns:
        At least 1.
    """
    beside = [one for one in everybody if one.machine == mine.machine]
    cores = sum((Fraction(1, sum(core in one.mask for one in beside)) for core in mine.mask), Fraction(0))
    limits = (Fraction(math.ceil(n), sum(group in one.limits for one in beside)) for group, n in mine.limits.items())
    return max(1, math.floor(min([cores, *limits])))


def usable_cores() -> int:
    """Cores that this process may use, were it alone."""
    mine = cores_of_this_process()
    return share_of_cores(mine, [mine])


def core_limits(proc: Path = PROC) -> dict[int, Fraction]:
    """Each group around this process that has one -> its limit, in cores; groups are named by their inodes."""
    found = {}
    for group in groups(proc, "cpu"):
        quota, _, period = _read(group / "cpu.max").partition(" ")  # microseconds of all cores, in so many
        quota = quota or _read(group / "cpu.cfs_quota_us")
        period = period or _read(group / "cpu.cfs_period_us")
        if quota.isdigit() and period.isdigit() and int(period):  # none: "max" in version 2, and -1 in version 1
            found[group.stat().st_ino] = Fraction(int(quota), int(period))
    return found


def memory_left(proc: Path = PROC) -> int | None:
    """Bytes that the groups around this process leave it, what can be dropped from caches included; None: no limit."""
    left = []
    for group in groups(proc, "memory"):
        limit = _read(group / "memory.max") or _read(group / "memory.limit_in_bytes")
        used = _read(group / "memory.current") or _read(group / "memory.usage_in_bytes")
        if limit.isdigit() and used.isdigit():
            stat = dict(line.split(" ", 1) for line in _read(group / "memory.stat").splitlines() if " " in line)
            droppable = int(stat.get("total_inactive_file") or stat.get("inactive_file") or 0)  # the first in version 1
            left.append(max(0, int(limit) - int(used) + droppable))
    return min(left, default=None)


def groups(proc: Path, controller: str) -> list[Path]:
    """Folders of the groups around this process that may limit something, of both versions, as far as they are seen."""
    paths = [line.split(":", 2)[1:] for line in _read(proc / "self/cgroup").splitlines() if line.count(":") >= 2]
    found: list[Path] = []
    for line in _read(proc / "self/mountinfo").splitlines():
        mount, _, kind = line.partition(" - ")
        root, place = mount.split()[3:5]
        kind, options = kind.split()[0], kind.split()[-1].split(",")
        if not (kind == "cgroup2" or (kind == "cgroup" and controller in options)):
            continue
        wanted = controller if kind == "cgroup" else ""
        for path in (path for controllers, path in paths if wanted in controllers.split(",")):
            own = Path(place, os.path.relpath(path, root)) if Path(path).is_relative_to(root) else Path(place)
            found += [group for group in (own, *own.parents) if group.is_relative_to(place) and group.is_dir()]
    return list(dict.fromkeys(found))


def _read(path: Path) -> str:
    """What a file of the system's says, or nothing."""
    try:
        return path.read_text().strip()
    except OSError:
        return ""
