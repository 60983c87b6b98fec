"""No road of fusemix unpacks a pickle that it has not made itself, and its dependencies' versions do not either."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SAFE = {"torch.load": ("weights_only", True), "np.load": ("allow_pickle", False), "numpy.load": ("allow_pickle", False)}
UNPACKING = ("load", "loads", "Unpickler", "read_pickle")
BETWEEN_OWN_PROCESSES = {"handover.py", "reading.py"}
LOWEST = {
    "datasets": (5,),
    "numpy": (2, 0),
    "open_clip_torch": (3, 3),
    "sentence-transformers": (6,),
    "timm": (1, 0, 26),
    "torch": (2, 10),
    "transformers": (5, 10),
}
"""From here on they unpack tensors alone unless they are told otherwise."""


def calls(path: Path) -> list[tuple[str, ast.Call]]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [(ast.unparse(node.func), node) for node in ast.walk(tree) if isinstance(node, ast.Call)]


@pytest.mark.parametrize("path", sorted((ROOT / "fusemix").rglob("*.py")), ids=lambda path: path.stem)
def test_what_is_read_is_never_a_pickle_of_somebody_elses(path):
    for name, call in calls(path):
        if name in SAFE:
            setting, value = SAFE[name]
            said = {word.arg: getattr(word.value, "value", None) for word in call.keywords}
            assert said.get(setting) is value, f"{name}, line {call.lineno}"
        module, _, function = name.rpartition(".")
        if module in ("pickle", "joblib", "dill", "pd", "pandas", "cloudpickle") and function in UNPACKING:
            assert path.name in BETWEEN_OWN_PROCESSES, f"{name}, line {call.lineno}"


def test_no_version_is_allowed_that_unpacks_pickles_by_itself():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)]
    stated = {m[1]: tuple(map(int, m[2].split("."))) for one in wanted if (m := re.match(r"([\w-]+)>=([\d.]+)", one))}
    assert {name: stated[name] for name, least in LOWEST.items() if stated[name] < least} == {}
