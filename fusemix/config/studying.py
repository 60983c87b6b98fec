"""Settings of studies: a grid of jobs that cache, select, train and evaluate.

Place in the flow: see fusemix/config/__init__.py. Not here: whether what a stage is given are settings of its command,
which fusemix/wiring/studying/grid.py asks before anything is run.
"""

from dataclasses import dataclass, field
from typing import Any

from fusemix.config.checks import distinct
from fusemix.config.writing import WritingConfig
from fusemix.errors import ConfigError
from fusemix.parts.kinds import Location
from fusemix.parts.registry import nearest

STAGES = {"cache": "cache_features", "select": "select", "train": "train", "evaluate": "eval_retrieval"}
"""Stage of a job -> the command that does it, in the order in which they are run."""
FROM = "from"
"""In the settings of a stage: recipes by name, or files, that the others win over."""


@dataclass(frozen=True, kw_only=True)
class AxisConfig:
    """One axis of the grid: values of settings, or cases that bear a name."""

    settings: list[str] = field(default_factory=list)
    """Settings that take each value, with their stage before a dot: [train.seed], or several that take the same one."""
    values: list[Any] = field(default_factory=list)
    """What they take, one after the other."""
    cases: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Instead of both: name -> settings that belong together, as in {few: {train.optim.lr: 0.001}}; {} changes none."""

    def names(self) -> list[str]:
        """All settings that the axis gives a value to."""
        return [*self.settings, *(name for case in self.cases.values() for name in case)]


@dataclass(frozen=True, kw_only=True)
class StudyConfig(WritingConfig):
    """Run a grid of jobs that cache, select, train and evaluate, and put their figures side by side."""

    out: Location
    """Study folder, which several processes may share."""
    latents: Location | None = None
    """Folder of latent sets that are cached already, in place of the stage cache; settings of later stages call either
    `${latents}`."""
    cache: dict[str, Any] = field(default_factory=dict)
    """Settings of `fusemix cache_features`, but for out. In each stage `from: [NAME, …]` takes recipes by name, or
    files; a stage that is given nothing is not run."""
    select: dict[str, Any] = field(default_factory=dict)
    """Settings of `fusemix select`; its set is `${select}` in those of later stages."""
    train: dict[str, Any] = field(default_factory=dict)
    """Settings of `fusemix train`; its run is `${train}`."""
    evaluate: dict[str, Any] = field(default_factory=dict)
    """Settings of `fusemix eval_retrieval`."""
    axes: dict[str, AxisConfig] = field(default_factory=dict)
    """By a name of your own, what differs between jobs; there is one for each combination. More values and cases may be
    added later, and jobs that are done stay."""
    x: str | None = None
    """Axis of numbers that figures are drawn against; without one there is a bar for each case."""
    seeds: str = "seed"
    """Axis over which means and spreads are taken."""
    measures: list[str] = field(default_factory=lambda: ["recall_sum", "recall"])
    """Figures of reports that are tabled, each in both directions, or image_to_text/recall_at_1 in one; recall is that
    at each depth, and recall_sum adds all of these up. The first three columns are drawn."""
    retry_failed: bool = False
    """Give jobs that have failed another chance; everything else stays as it is."""
    dry_run: bool = False
    """Check all settings, list what is done and to do, and estimate what it takes; nothing is written."""

    def stages(self) -> dict[str, dict[str, Any]]:
        """Settings of the stages that are run, in order."""
        given = {stage: getattr(self, stage) for stage in STAGES}
        if self.latents:
            given["cache"] = {}
        return {stage: settings for stage, settings in given.items() if settings}

    def __post_init__(self) -> None:
        """Check what can be checked without the commands' own settings."""
        super().__post_init__()
        if not self.stages():
            raise ConfigError(
                f"a study needs settings of one stage at least: {', '.join(STAGES)}. Name a shipped one, as in "
                "fusemix study batch, or write train: {…} into a file."
            )
        if not self.measures:
            raise ConfigError("measures names no figure. Leave it out, or name some, such as measures=[recall_sum].")
        distinct("measures", self.measures)
        for name, axis in self.axes.items():
            self._check_axis(name, axis)
        self._check_owners()
        self._check_drawn()

    def _check_axis(self, name: str, axis: AxisConfig) -> None:
        if bool(axis.settings) != bool(axis.values) or bool(axis.settings) == bool(axis.cases):
            raise ConfigError(
                f"axes.{name}: give either settings and values, as in {{settings: [train.seed], values: [0, 1]}}, or "
                "cases, as in {cases: {NAME: {train.seed: 0}}}."
            )
        distinct(f"axes.{name}.settings", axis.settings)
        distinct(f"axes.{name}.values", [repr(value) for value in axis.values])
        stages = self.stages()
        for setting in axis.names():
            stage, dot, _ = setting.partition(".")
            if stage not in STAGES or not dot:
                raise ConfigError(
                    f"axes.{name}: {setting!r} begins with no stage.{nearest(stage, [*STAGES])} Write STAGE.SETTING; "
                    f"stages are {', '.join(STAGES)}."
                )
            if stage == "cache" and self.latents:
                raise ConfigError(
                    f"axes.{name} changes {setting}, and latents={self.latents} takes the place of the stage cache. "
                    "Leave out one of the two."
                )
            if stage not in stages:
                raise ConfigError(
                    f"axes.{name} changes {setting}, and there is no stage {stage}: write {stage}: {{…}}."
                )

    def _check_owners(self) -> None:
        owners: dict[str, str] = {}
        for name, axis in self.axes.items():
            for setting in set(axis.names()):
                if (other := owners.setdefault(setting, name)) != name:
                    raise ConfigError(f"axes.{name} and axes.{other} both change {setting}. Let one of them do it.")

    def _check_drawn(self) -> None:
        axes = list(self.axes)
        if self.seeds not in axes and self.seeds != "seed":
            raise ConfigError(f"seeds is {self.seeds!r}, which is no axis.{nearest(self.seeds, axes)} {_known(axes)}")
        if self.x is None:
            return
        if self.x not in axes:
            raise ConfigError(f"x is {self.x!r}, which is no axis.{nearest(self.x, axes)} {_known(axes)}")
        if self.x == self.seeds:
            raise ConfigError(f"x and seeds are both {self.x!r}: means over an axis cannot be drawn against it.")
        values = self.axes[self.x].values
        if not values or not all(type(value) in (int, float) for value in values):
            raise ConfigError(f"x is {self.x!r}, and axes.{self.x} holds something else than numbers. Leave out x.")


def _known(axes: list[str]) -> str:
    return f"Axes: {', '.join(axes) or 'none'}."
