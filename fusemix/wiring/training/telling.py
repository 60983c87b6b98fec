"""What is said of a run before it trains.

Place in the flow: TrainConfig, LatentData, FusionModel -> lines for people.
"""

from collections.abc import Iterator, Sequence

from fusemix.config import TrainConfig
from fusemix.fusion.model import FusionModel
from fusemix.latents.loader import LatentData
from fusemix.latents.sources import Source

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
    yield from map(_about_set, data.sources)
    sizes = ", ".join(f"{name} {count / 1e6:.2f} M" for name, count in model.num_parameters().items())
    yield f"adapters of {sizes} parameters; embeddings of {_width(config, model)} numbers"
    if config.method == "csa":
        return
    yield f"{_about_step(config, data.sources[0], num_processes)}{_about_fit(data.sources, fitted)}"
    if config.structure.weight == 0 and len(data.sources[0].links.links) < FEW_PAIRS:
        yield f"below {FEW_PAIRS:,} pairs structure.weight is worth a try; see configs/train/few_pairs.yaml"


def _about_set(source: Source) -> str:
    held_out = "nothing held out"
    if source.gallery:
        held_out = "choosing among {:,} and {:,} held-out items".format(*map(len, source.gallery.rows))
        if source.is_sampled:
            held_out += ", a random sample of {:,} and {:,}".format(*source.held_out)
    links = len(source.links.links)
    few, left = source.links.left_out, source.modalities[0]
    without = f", without {few:,} {left} items that have fewer than {source.links.per_item} captions" if few else ""
    return f"{f'{source.name}: ' if source.name else ''}{links:,} pairs of {source.train.name}{without}; {held_out}"


def _width(config: TrainConfig, model: FusionModel) -> str:
    if model.width == config.embedding_dim:
        return f"{model.width:,}"
    fixed = model.width - config.embedding_dim
    return f"{model.width:,} ({config.embedding_dim:,} of the adapters, {fixed:,} of the closed form)"


def _about_step(config: TrainConfig, source: Source, num_processes: int) -> str:
    batch, loaded = config.optim.batch_size, source.pairs_per_step
    assert isinstance(batch, int), "auto has become a number"
    shared = f", over {num_processes} processes" if num_processes > 1 else ""
    negatives = (config.links_per_item or 1) * (batch - 1)
    return (
        f"{batch:,} pairs a step{shared}, {f'mixed from {loaded:,}' if loaded > batch else 'not mixed'}: "
        f"{negatives:,} negatives for each left item"
    )


def _about_fit(sources: Sequence[Source], fitted: Sequence[str]) -> str:
    """What was made to fit, and to what: a batch holds no item twice."""
    if not fitted:
        return ""
    sizes = [" and ".join(f"{n:,} {m}" for n, m in zip(s.links.num_items, s.modalities, strict=True)) for s in sources]
    return f"; fitted to {', '.join(sizes)} items: {' '.join(fitted)}"
