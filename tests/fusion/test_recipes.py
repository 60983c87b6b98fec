"""The recipes in configs/train fit their schema, and train on data of any size."""

import csv
from pathlib import Path

import pytest
from training import arguments, recalls

from fusemix.cli.called import run_command
from fusemix.errors import FusemixError

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


def test_three_modalities_need_two_sets_alone_and_each_learns(make_set, tmp_path):
    sounds = {name: make_set(f"sounds-{name}", left="audio", seed=seed) for seed, name in enumerate(("train", "other"))}
    also = f"also={{sounds: {{train: {sounds['train']}, validation: {sounds['other']}}}}}"
    words = [str(CONFIGS / "three.yaml"), *given(make_set, tmp_path / "run"), also, "encoders.audio=[eyes]"]
    run_command("train", words)
    with (tmp_path / "run" / "metrics.csv").open() as file:
        last = [row for row in csv.DictReader(file) if row["validation/mean_recall"]][-1]
    of_sets = {name: float(value) for name, value in last.items() if name.endswith("mean_recall") and value}
    assert len(of_sets) == 2 and min(of_sets.values()) > 0.8
    with pytest.raises(FusemixError, match=r"also\.sounds\.batch_size: on disk .*, now 16"):
        run_command("train", [*words, "also.sounds.batch_size=16"])
    run_command("train", words)  # is trained already
