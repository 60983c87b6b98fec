"""How cores and memory are counted: from masks that are made up, and from a system's files that are made up."""

from fractions import Fraction
from pathlib import Path

import pytest
import torch

from fusemix.machine.limits import Cores, core_limits, cores_of_this_process, memory_left, share_of_cores, usable_cores
from fusemix.wiring.caching.cache import workers_beside

KIND = {"cpu": "cgroup cgroup rw,cpu,cpuacct", "memory": "cgroup cgroup rw,memory", "": "cgroup2 cgroup2 rw"}


def on(machine, cores, **limits):
    """What a process may use; limits by a letter for their group."""
    found = {ord(group): Fraction(limit) for group, limit in limits.items()}
    return Cores(machine, frozenset(cores), found)


def block(number, size=12):
    return range(number * size, number * size + size)


@pytest.mark.parametrize(
    ("everybody", "share"),
    [
        ([on("a", range(16))], 16),
        ([on("a", range(128))] * 8, 16),
        ([on("a", range(12))] * 3, 4),
        ([on("a", block(task)) for task in range(8)], 12),
        ([on(node, block(task)) for node in "ab" for task in range(8)], 12),
        ([on("a", range(8)), on("b", range(8)), on("b", range(8))], 8),
        ([on("a", range(8)), on("a", range(4, 12))], 6),
        ([on("a", [*block(0), 96]), *(on("a", [*block(task), 96]) for task in range(1, 8))], 12),
        ([on("a", range(224), c=16)] * 8, 2),
        ([on("a", range(224), c=16)], 16),
        ([on("a", range(64), x=4), on("a", range(64), y=4)], 4),
        ([on("a", range(64), o=8, p=24), *(on("a", range(64), p=24) for _ in range(3))], 6),
        ([on("a", range(4), c="1/2")], 1),
        ([on("a", range(4), c="3/2")], 2),
        ([on("a", range(2))] * 8, 1),
    ],
    ids=[
        "alone",
        "one mask for eight processes",
        "a third",
        "SLURM with cpus-per-task",
        "on two nodes",
        "another machine does not count",
        "masks that overlap",
        "one core for all besides",
        "a container with a quota",
        "alone in it",
        "each in a container of its own",
        "a limit around another one",
        "half a core",
        "one and a half",
        "fewer cores than processes",
    ],
)
def test_what_is_shared_is_divided_and_what_is_a_share_already_is_not(everybody, share):
    assert share_of_cores(everybody[0], everybody) == share


def test_shares_of_one_machine_are_never_more_than_its_cores():
    generator = torch.Generator().manual_seed(0)
    for _ in range(50):
        masks = [torch.randperm(64, generator=generator)[:40].tolist() for _ in range(5)]
        everybody = [on("a", mask) for mask in masks]
        assert sum(share_of_cores(one, everybody) for one in everybody) <= len(set().union(*masks))


@pytest.mark.parametrize(
    ("everybody", "beside_a_gpu"),
    [
        ([on("a", range(128))] * 8, 15),
        ([on("a", block(task)) for task in range(8)], 11),
        ([on("a", range(224), c=16)] * 8, 1),
        ([on("a", range(224))], 16),
    ],
)
def test_auto_leaves_a_gpu_one_core_and_a_cpu_all_but_two(everybody, beside_a_gpu):
    cores = share_of_cores(everybody[0], everybody)
    assert workers_beside("cuda", cores) == beside_a_gpu
    assert workers_beside("cpu", cores) == 2


def system(folder: Path, paths: dict[str, str], mounts: dict[str, str], files: dict[str, str]) -> Path:
    """A folder like /proc, of a system whose groups lie in the folder beside it.

    Args:
        folder: receives both.
        paths: controller, or nothing for version 2 -> path of the process's group.
        mounts: the same -> which group is mounted, each in a folder by the controller's name.
        files: of groups -> content.
    """
    (folder / "proc/self").mkdir(parents=True)
    lines = [f"{number}:{name and name + ',other'}:{path}" for number, (name, path) in enumerate(paths.items())]
    (folder / "proc/self/cgroup").write_text("\n".join(lines) + "\n")
    lines = ["22 1 0:20 / / rw,relatime shared:1 - ext4 /dev/sda1 rw"]
    for name, root in mounts.items():
        (folder / f"groups{name}").mkdir()
        lines.append(f"33 31 0:30 {root} {folder}/groups{name} rw,relatime - {KIND[name]}")
    (folder / "proc/self/mountinfo").write_text("\n".join(lines) + "\n")
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content + "\n")
    return folder / "proc"


@pytest.mark.parametrize(
    ("paths", "mounts", "files", "limits"),
    [
        ({"": "/"}, {"": "/"}, {"groups/cpu.max": "1600000 100000"}, [16]),
        ({"": "/"}, {"": "/"}, {"groups/cpu.max": "max 100000"}, []),
        (
            {"": "/job/step/task"},
            {"": "/"},
            {
                "groups/job/cpu.max": "800000 100000",
                "groups/job/step/cpu.max": "max 100000",
                "groups/job/step/task/x": "",
            },
            [8],
        ),
        (
            {"cpu": "/job/task", "memory": "/"},
            {"cpu": "/"},
            {
                "groupscpu/cpu.cfs_quota_us": "-1",
                "groupscpu/cpu.cfs_period_us": "100000",
                "groupscpu/job/cpu.cfs_quota_us": "250000",
                "groupscpu/job/cpu.cfs_period_us": "100000",
                "groupscpu/job/task/cpu.cfs_quota_us": "100000",
                "groupscpu/job/task/cpu.cfs_period_us": "50000",
            },
            [2, Fraction(5, 2)],
        ),
        (
            {"cpu": "/docker/123"},
            {"cpu": "/docker/123"},
            {"groupscpu/cpu.cfs_quota_us": "400000", "groupscpu/cpu.cfs_period_us": "100000"},
            [4],
        ),
        ({"": "/elsewhere"}, {"": "/"}, {"groups/cpu.max": "300000 100000"}, [3]),
        ({}, {}, {}, []),
    ],
    ids=[
        "version 2 in a container",
        "no limit",
        "of a job around the task",
        "version 1, one in another",
        "version 1, mounted from the container's own group on",
        "the process's own group is not seen",
        "no groups at all",
    ],
)
def test_limits_of_all_groups_around_a_process_are_found(tmp_path, paths, mounts, files, limits):
    assert sorted(core_limits(system(tmp_path, paths, mounts, files)).values()) == limits


@pytest.mark.parametrize("limit", ["max 100000", "nonsense", "100000", "100000 0", "-1 100000"])
def test_what_is_no_limit_limits_nothing(tmp_path, limit):
    assert core_limits(system(tmp_path, {"": "/"}, {"": "/"}, {"groups/cpu.max": limit})) == {}


@pytest.mark.parametrize(
    ("paths", "mounts", "files", "left"),
    [
        (
            {"": "/job"},
            {"": "/"},
            {
                "groups/job/memory.max": "1000",
                "groups/job/memory.current": "700",
                "groups/job/memory.stat": "anon 500\ninactive_file 150\nactive_file 50",
            },
            450,
        ),
        (
            {"memory": "/job/task"},
            {"memory": "/"},
            {
                "groupsmemory/job/memory.limit_in_bytes": "1000",
                "groupsmemory/job/memory.usage_in_bytes": "900",
                "groupsmemory/job/memory.stat": "inactive_file 1\ntotal_inactive_file 50",
                "groupsmemory/job/task/memory.limit_in_bytes": "9223372036854771712",
                "groupsmemory/job/task/memory.usage_in_bytes": "5",
            },
            150,
        ),
        ({"": "/"}, {"": "/"}, {"groups/memory.max": "100", "groups/memory.current": "120"}, 0),
        ({"": "/"}, {"": "/"}, {"groups/memory.max": "max", "groups/memory.current": "120"}, None),
    ],
    ids=["version 2", "version 1, of the job", "nothing is left", "no limit"],
)
def test_memory_that_the_groups_leave_is_counted_with_what_can_be_dropped(tmp_path, paths, mounts, files, left):
    assert memory_left(system(tmp_path, paths, mounts, files)) == left


def test_a_process_has_at_least_one_core_and_no_more_than_the_machine():
    mine = cores_of_this_process()
    assert 1 <= usable_cores() <= len(mine.mask)
