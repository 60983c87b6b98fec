"""The grid of a study: every combination of its axes, with all settings checked before anything is run.

Place in the flow: StudyConfig -> points -> the settings of each stage -> Grid of jobs and tasks.
Not here: who runs them (running.py).
"""

import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from fusemix.config.studying import FROM, STAGES, AxisConfig, StudyConfig
from fusemix.errors import ConfigError
from fusemix.parts.registry import nearest
from fusemix.wiring.studying.tasks import Grid, Job, Reader, Said, Settings, Task, task_of, token

MEASURES = (
    *("recall_sum", "recall", "mean_recall", "mrr", "map_at_10", "ndcg_at_10", "median_rank", "mean_rank"),
    *("skewness_at_10", "over_retrieved", "never_retrieved"),
)
"""Figures of a report beside recall."""
RECALL = re.compile(r"recall_at_([1-9]\d*)", re.ASCII)


class Point(NamedTuple):
    """One combination.

    Attributes:
        axes: name of each axis -> the value or the case.
        given: name of each axis -> setting, with its stage -> value.
    """

    axes: Mapping[str, Any]
    given: Mapping[str, Mapping[str, Any]]


def points(axes: Mapping[str, AxisConfig]) -> Iterator[Point]:
    """All combinations, the last axis fastest."""
    for chosen in itertools.product(*(_choices(axis) for axis in axes.values())):
        both = dict(zip(axes, chosen, strict=True))
        yield Point(
            {name: label for name, (label, _) in both.items()}, {name: given for name, (_, given) in both.items()}
        )


def _choices(axis: AxisConfig) -> list[tuple[Any, Mapping[str, Any]]]:
    if axis.cases:
        return list(axis.cases.items())
    names = [value.get("name") if isinstance(value, dict) else value for value in axis.values]
    labels = [*map(_label, names)]
    if len(set(map(str, labels))) < len(labels):  # one part with several options
        labels = [*map(_label, axis.values)]
    return [(label, dict.fromkeys(axis.settings, value)) for label, value in zip(labels, axis.values, strict=True)]


def _label(value: Any) -> Any:
    if value is None or isinstance(value, str | int | float):
        return value
    return json.dumps(value, ensure_ascii=False)


def grid_of(config: StudyConfig, read: Reader) -> Grid:
    """All jobs of a study.

    Args:
        config: of the study.
        read: reads and checks the settings of a command.

    Raises:
        ConfigError: what a stage or an axis says are no settings of its command; a stage is named that comes later, or
            is not there; a measure is no figure of a report.
    """
    found: dict[str, Settings] = {}
    tasks: dict[str, Task] = {}
    jobs = []
    for point in points(config.axes):
        job = Job(point.axes, {})
        places: dict[str, str] = {}
        if config.latents:
            places |= {"latents": config.latents, "cache": config.latents}
        of_job: dict[str, str] = {}
        for stage, settings in config.stages().items():
            said = _said(stage, settings, point)
            key = json.dumps([stage, said, places])
            if key not in found:
                found[key] = _read(read, stage, _files(stage, settings), said, places, job)
            task = task_of(stage, STAGES[stage], found[key])
            tasks.setdefault(task.name, task)
            of_job[stage] = task.name
            places[stage] = token(task.name)
            if stage == "cache":
                places["latents"] = places["cache"]
        jobs.append(job._replace(tasks=of_job))
    _require_measures(config, tasks)
    return Grid(jobs, _in_order(tasks))


def _read(
    read: Reader, stage: str, files: Sequence[str], said: Sequence[Said], places: Mapping[str, str], job: Job
) -> Settings:
    try:
        return read(STAGES[stage], files, said, places)
    except ConfigError as error:
        if len(said) == 1 or str(error).startswith("axes."):
            raise
        raise ConfigError(f"{error} So it is for {job.name}.") from error


def _said(stage: str, settings: Mapping[str, Any], point: Point) -> list[Said]:
    given = {name: {k.partition(".")[2]: v for k, v in of.items() if k.startswith(f"{stage}.")}
             for name, of in point.given.items()}  # fmt: skip
    own = {name: value for name, value in settings.items() if name != FROM}
    return [Said(stage, own), *(Said(f"axes.{name}", of, is_whole=True) for name, of in given.items() if of)]


def _files(stage: str, settings: Mapping[str, Any]) -> list[str]:
    named = settings.get(FROM) or []
    named = [named] if isinstance(named, str) else named
    if not isinstance(named, list) or not all(isinstance(name, str) for name in named):
        raise ConfigError(f"{stage}.{FROM} is {named!r}, but must be names of recipes or files, such as [glyphs].")
    return named


def _in_order(tasks: Mapping[str, Task]) -> dict[str, Task]:
    """Stage by stage, so that each comes after those that it reads; within a stage in the order of jobs."""
    order = list(STAGES)
    return {task.name: task for task in sorted(tasks.values(), key=lambda task: order.index(task.stage))}


def _require_measures(config: StudyConfig, tasks: Mapping[str, Task]) -> None:
    measured = [task for task in tasks.values() if task.stage == "evaluate"]
    if not measured:
        return
    ks = {k for task in measured for k in task.identity.get("ks", [1, 5, 10])}
    known = [*MEASURES, *(f"recall_at_{k}" for k in sorted(ks))]
    for measure in config.measures:
        metric = measure.rpartition("/")[2]
        if metric in known:
            continue
        deep = RECALL.fullmatch(metric)
        more = f" evaluate.ks says how deep recall looks, and is {sorted(ks)}." if deep else nearest(metric, known)
        raise ConfigError(f"measures names {measure!r}, which is no figure of these reports.{more} Figures: "
                          f"{', '.join(known)}.")  # fmt: skip
