"""The recipes in configs/train fit their schema, and train on data of any size."""

from pathlib import Path

import pytest
from training import arguments, recalls

from fusemix.commands import train

CONFIGS = Path(__file__).parents[2] / "configs" / "train"


def given(make_set, out: Path, **changes: object) -> list[str]:
    """Data and sizes for a recipe, but none of the settings that it makes itself."""
    small = {"optim__batch_size": 16, "optim__max_epochs": 40, "adapter__options__hidden_dim": 64, **changes}
    chosen = [a for a in arguments(make_set, out, **small) if not a.startswith(("adapter.options=", "optim.warmup"))]
    return [*chosen, "embedding_dim=32"]


@pytest.mark.parametrize("name", ["recommended", "few_pairs"])
def test_a_recipe_needs_data_alone_and_learns(make_set, tmp_path, name):
    train.main([str(CONFIGS / f"{name}.yaml"), *given(make_set, tmp_path / "run")])
    found = recalls(tmp_path / "run")
    assert found[-1] > 0.8
