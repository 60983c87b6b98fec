"""What is said of a run before it trains.

Place in the flow: TrainConfig, LatentData, FusionModel -> lines for people.
"""

from collections.abc import Iterator, Sequence

from fusemix.config import TrainConfig
from fusemix.fusion.model import FusionModel
from fusemix.latents.loader import LatentData
from fusemix.latents.training_sets import TrainingSet

FEW_PAIRS = 100_000
"""Below, keeping the structure of the latents is worth a try (arXiv:2506.16895 and 2602.23353)."""


def about_run(
    config: TrainConfig, data: LatentData, model: FusionModel, num_processes: int, fitted: Sequence[str]
) -> Iterator[str]:
    """What a run trains, on what, and in which steps.

    Args:
        config: its settings, with numbers in place of `auto`.
        data: its sets.
        model: that is trained.
        num_processes: that share each batch.
        fitted: what `auto` came to, as settings.
    """
    yield from map(_about_set, data.training_sets)
    sizes = ", ".join(f"{name} {count / 1e6:.2f} M" for name, count in model.num_parameters().items())
    yield f"adapters of {sizes} parameters; embeddings of {_width(model)} numbers"
    if config.method == "csa":
        return
    steps = [_about_step(config, one, num_processes) for one in data.training_sets]
    yield f"{'; '.join(steps)}{_about_fit(data.training_sets, fitted)}"
    if config.structure.weight == 0 and len(data.training_sets[0].links.links) < FEW_PAIRS:
        yield f"below {FEW_PAIRS:,} pairs structure.weight is worth a try; see the recipe few_pairs"


def _about_set(training_set: TrainingSet) -> str:
    held_out = "nothing held out"
    if training_set.gallery:
        held_out = "choosing among {:,} and {:,} held-out items".format(*map(len, training_set.gallery.rows))
        if training_set.is_sampled:
            held_out += ", a random sample of {:,} and {:,}".format(*training_set.held_out)
    links = len(training_set.links.links)
    few, left = training_set.links.left_out, training_set.modalities[0]
    without = (
        f", without {few:,} {left} items that have fewer than {training_set.links.per_item} captions" if few else ""
    )
    name = f"{training_set.name}: " if training_set.name else ""
    return f"{name}{links:,} pairs of {training_set.train.name}{without}; {held_out}"


def _width(model: FusionModel) -> str:
    if model.width == model.embedding_dim:
        return f"{model.width:,}"
    fixed = model.width - model.embedding_dim
    return f"{model.width:,} ({model.embedding_dim:,} of the adapters, {fixed:,} of the closed form)"


def _about_step(config: TrainConfig, training_set: TrainingSet, num_processes: int) -> str:
    own = config.also[training_set.name].batch_size if training_set.name else "auto"
    batch, loaded = config.optim.batch_size if isinstance(own, str) else own, training_set.pairs_per_step
    assert isinstance(batch, int), "auto has become a number"
    shared = f", over {num_processes} processes" if num_processes > 1 else ""
    negatives = (config.links_per_item or 1) * (batch - 1)
    name = f"{training_set.name}: " if training_set.name else ""
    return (
        f"{name}{batch:,} pairs a step{shared}, {f'mixed from {loaded:,}' if loaded > batch else 'not mixed'}: "
        f"{negatives:,} negatives for each left item"
    )


def _about_fit(training_sets: Sequence[TrainingSet], fitted: Sequence[str]) -> str:
    """What was made to fit, and to what: a batch holds no item twice."""
    if not fitted:
        return ""
    sizes = [
        " and ".join(f"{n:,} {m}" for n, m in zip(s.links.num_items, s.modalities, strict=True)) for s in training_sets
    ]
    return f"; fitted to {', '.join(sizes)} items: {' '.join(fitted)}"
