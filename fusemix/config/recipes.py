"""Recipes: files of settings that come with the package, and are called by name.

Place in the flow: a bare word of the command line -> a yaml file -> load_config.
They are the repository's `configs/`, which a wheel carries as `fusemix/configs/` (setup.py). Not here: reading them.
"""

import re
from pathlib import Path

from fusemix.parts.registry import nearest

PACKAGE = Path(__file__).parents[1]
AUTO = "auto"
"""What stands for the recipe that fits the data; see wiring/training/recipe.py."""
FEWEST, FEW, MANY, ALIGNED = "closed_form", "few_pairs", "recommended", "aligned"
"""Recipes that it chooses from."""
FEW_PAIRS, MANY_PAIRS = 600, 10_000
"""From so many on, the recipe is the one for few, and the one for many; docs/recipes.md says why."""
HOLDOUT_OF_FEW, HOLDOUT_OF_MANY = 0.1, 0.05
"""Share of the links that the best epoch is chosen on, where nothing else is given."""
FOLDERS = {
    "CacheConfig": "cache",
    "TrainConfig": "train",
    "EvalConfig": "eval",
    "ZeroShotConfig": "eval",
    "StudyConfig": "study",
}
"""Dataclass of settings -> folder of its recipes."""
ZERO_SHOT = "_zero_shot"
"""How recipes of eval_zero_shot end, which lie beside those of eval_retrieval."""


def recipes_of(schema: type) -> dict[str, Path]:
    """Name -> file of the recipes for the settings of one command, by name; none where it has none.

    Args:
        schema: dataclass of the settings.
    """
    if schema.__name__ not in FOLDERS:
        return {}
    folder = _configs() / FOLDERS[schema.__name__]
    found = {path.relative_to(folder).with_suffix("").as_posix(): path for path in folder.rglob("*.yaml")}
    is_zero_shot = schema.__name__ == "ZeroShotConfig"
    return {name: found[name] for name in sorted(found) if name.endswith(ZERO_SHOT) == is_zero_shot}


def recipe_for(num_pairs: int) -> str:
    """The recipe for so many pairs, where nothing is known of them but that."""
    if num_pairs < FEW_PAIRS:
        return FEWEST
    return FEW if num_pairs < MANY_PAIRS else MANY


def holdout_for(num_pairs: int) -> float:
    """The share of so many pairs to hold out."""
    return HOLDOUT_OF_FEW if num_pairs < MANY_PAIRS else HOLDOUT_OF_MANY


def summary_of_recipe(path: Path) -> str:
    """The first sentence of the comment that a recipe begins with; empty where there is none."""
    with path.open(encoding="utf-8") as lines:
        first = lines.readline()
    return re.split(r"[.;] ", first.removeprefix("#").strip())[0].rstrip(".:") if first.startswith("#") else ""


def no_recipe(word: str, schema: type, *besides: str) -> str:
    """What to say of a word that is neither a file nor a recipe; `besides` stand for recipes, too."""
    names = [*besides, *recipes_of(schema)]
    if not names:
        return f"there is no config file {word}."
    near = nearest(Path(word).stem, names) or nearest(word, names)
    return f"there is no config file {word}, and no recipe of that name.{near} Recipes: {', '.join(names)}."


def _configs() -> Path:
    """The folder of all recipes: in the package, or beside it in a checkout."""
    inside = PACKAGE / "configs"
    return inside if inside.is_dir() else PACKAGE.parent / "configs"
