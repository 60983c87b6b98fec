"""The recipes in configs/train fit their schema, and train on data of any size."""

from pathlib import Path

import pytest
from training import arguments, recalls

from fusemix.cli.called import run_command

CONFIGS = Path(__file__).parents[2] / "configs" / "train"


def given(make_set, out: Path) -> list[str]:
    """Data for a recipe, narrower adapters and fewer steps, but none of the settings that it makes itself."""
    data = ("train", "validation", "encoders", "out", "compute")
    chosen = [one for one in arguments(make_set, out) if one.partition("=")[0] in data]
    return [*chosen, "adapter.options.hidden_dim=64", "embedding_dim=32", "optim.auto.epochs=10", "optim.auto.steps=80"]


@pytest.mark.parametrize("name", ["recommended", "few_pairs"])
def test_a_recipe_needs_data_alone_and_learns(make_set, tmp_path, name):
    run_command("train", [str(CONFIGS / f"{name}.yaml"), *given(make_set, tmp_path / "run")])
    found = recalls(tmp_path / "run")
    assert found[-1] > 0.8
