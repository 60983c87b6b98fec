"""What a study consists of: jobs, and tasks that they share.

Place in the flow: settings of a study -> grid.py -> Grid -> running.py. Nothing heavy is imported, since all settings
are checked first.

A job is one point of the grid, and has a task for each stage. A task is known by its command, its settings and the
tasks that it reads, so jobs that agree in these have it in common.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

OWN_SETTINGS = ("out", "overwrite", "wait_sec", "resume", "dry_run", "part", "verify", "retry_rejected")
"""Of commands, those that a study gives itself, or that say nothing of what comes out."""
OUTPUT = {"cache": "latents", "select": "latents", "train": "run", "evaluate": "report"}
"""Stage -> what the folder is called, in that of a task, that its command writes."""
LETTERS = 10
"""Of a hash, in the name of a folder."""


class Said(NamedTuple):
    """Some settings of one command.

    Attributes:
        where: they stand, for messages.
        settings: by name, perhaps with dots, as plain data.
        is_whole: a part that they name takes the place of the one before, with its options.
    """

    where: str
    settings: Mapping[str, Any]
    is_whole: bool = False


class Settings(NamedTuple):
    """Settings of one command, read and checked.

    Attributes:
        identity: all that are not at their defaults, whoever has said them.
        said: what was said, for a file that the command reads.
        config: the settings object.
    """

    identity: Mapping[str, Any]
    said: Mapping[str, Any]
    config: Any


Reader = Callable[[str, Sequence[str], Sequence[Said], Mapping[str, str]], Settings]
"""Reads and checks the settings of a command; see fusemix/cli/for_studies.py."""


class Task(NamedTuple):
    """One command that is to be run.

    Attributes:
        name: of its folder: the stage, and a hash of all that makes it.
        stage: such as `train`.
        command: of fusemix.
        settings: of the command; folders of other tasks are called as `token` calls them.
        identity: the same, with all that a recipe says, and without what is at its default.
        reads: names of other tasks whose folders it reads.
    """

    name: str
    stage: str
    command: str
    settings: Mapping[str, Any]
    identity: Mapping[str, Any]
    reads: tuple[str, ...]


class Job(NamedTuple):
    """One point of the grid.

    Attributes:
        axes: name of each axis -> the value or the case that this job has.
        tasks: stage -> name of its task.
    """

    axes: Mapping[str, Any]
    tasks: Mapping[str, str]

    @property
    def name(self) -> str:
        """For people: `size=100, seed=0`."""
        return ", ".join(f"{axis}={value}" for axis, value in self.axes.items()) or "the only job"


class Grid(NamedTuple):
    """All jobs of a study.

    Attributes:
        jobs: in the order of the axes, the last one fastest.
        tasks: by name; each after those that it reads.
    """

    jobs: Sequence[Job]
    tasks: Mapping[str, Task]

    def jobs_with(self, task: str) -> list[Job]:
        """Jobs that a task belongs to."""
        return [job for job in self.jobs if task in job.tasks.values()]


def task_of(stage: str, command: str, settings: Settings) -> Task:
    """A task, by what makes it what it is."""
    text = json.dumps([command, settings.identity], sort_keys=True, ensure_ascii=False)
    name = f"{stage}-{hashlib.sha256(text.encode()).hexdigest()[:LETTERS]}"
    reads = tuple(dict.fromkeys(_named(settings.identity)))
    return Task(name, stage, command, settings.said, settings.identity, reads)


def token(task: str) -> str:
    """What stands for the folder of a task's output in the settings of another one, wherever the study lies."""
    return f"{{task:{task}}}"


def placed(settings: Any, folder_of: Callable[[str], str]) -> Any:
    """Settings with the folders of other tasks.

    Args:
        settings: with tokens in their place.
        folder_of: name of a task -> the folder that its command writes.
    """
    if isinstance(settings, Mapping):
        return {key: placed(one, folder_of) for key, one in settings.items()}
    if isinstance(settings, list | tuple):
        return [placed(one, folder_of) for one in settings]
    if not isinstance(settings, str):
        return settings
    for task in _named(settings):
        settings = settings.replace(token(task), folder_of(task))
    return settings


def _named(settings: Any) -> list[str]:
    """Names of tasks that settings have tokens of."""
    if isinstance(settings, Mapping):
        return [name for one in settings.values() for name in _named(one)]
    if isinstance(settings, list | tuple):
        return [name for one in settings for name in _named(one)]
    if not isinstance(settings, str):
        return []
    return [part.partition("}")[0] for part in settings.split("{task:")[1:]]
