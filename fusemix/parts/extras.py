"""Packages that some parts need besides, as pyproject.toml names them, and how they are installed.

Place in the flow: name of an extra -> what to type. fusemix itself is on no package index, so `fusemix[extra]` would
find nothing there.
"""

import shlex
from collections.abc import Sequence
from importlib.metadata import requires

from packaging.requirements import Requirement


def packages_of(extra: str) -> list[str]:
    """What an extra stands for, with versions, as pip takes it: ['onnx>=1.19', …]."""
    stated = map(Requirement, requires("fusemix") or [])
    return [f"{one.name}{one.specifier}" for one in stated if one.marker and _is_of(one, extra)]


def _is_of(requirement: Requirement, extra: str) -> bool:
    assert requirement.marker is not None
    return requirement.marker.evaluate({"extra": extra}) and not requirement.marker.evaluate({"extra": ""})


def install(packages: Sequence[str]) -> str:
    """The command that installs packages."""
    return shlex.join(["pip", "install", *packages])
