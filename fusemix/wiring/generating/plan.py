"""All that is known of a drawing before an encoder or a pipeline is loaded, and everything that can be wrong with it.

Place in the flow: GenerateConfig -> Plan -> latents (sources.py), pictures (drawing.py), and the folder (pictures.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fusemix.config import GenerateConfig, to_plain
from fusemix.encoders.loading import weights_sha256
from fusemix.errors import ConfigError
from fusemix.models.embedder import Embedder
from fusemix.models.licences import licence_of_folder
from fusemix.models.queries import Query
from fusemix.wiring.generating.drawing import How
from fusemix.wiring.generating.ip_adapters import IPAdapter, adapter_for
from fusemix.wiring.generating.pipelines import KANDINSKY, Pipeline, default_of, diffusers, known, pipeline_at
from fusemix.wiring.generating.sources import Space, asked, is_grey, named, noted, require_width, space_of


@dataclass(frozen=True)
class Plan:
    """What is drawn from what, by what, and how.

    Attributes:
        embedder: the model; encoders are loaded when they are needed.
        space: in it, that pictures are drawn from.
        queries: each a sum of one term or more.
        names: of these, for people.
        pipeline: that draws.
        adapter: for Stable Diffusion.
        how: it draws.
        precision: that it computes in, as torch calls it.
        is_grey: whether guidance leads away from a grey picture, and not from zeros.
        settings: by which pictures are the same ones, as plain data.
        licences: of what they are drawn with.
    """

    embedder: Embedder
    space: Space
    queries: list[list[Query]]
    names: list[str]
    pipeline: Pipeline
    adapter: IPAdapter | None
    how: How
    precision: str
    is_grey: bool
    settings: dict[str, Any]
    licences: dict[str, str]


def plan_of(config: GenerateConfig, device: str) -> Plan:
    """Look at everything but the weights.

    Args:
        config: as given.
        device: to compute on.

    Raises:
        FusemixError: something cannot be read, or does not fit together.
    """
    diffusers()
    pipeline = pipeline_at(config.pipeline, config.revision)
    adapter = adapter_for(pipeline, config.ip_adapter, config.ip_adapter_weights)
    how, queries = _how(config, pipeline), asked(config.text, config.image, config.audio, each=config.each)
    terms = [[noted(query) for query in of] for of in queries]
    kinds = list(dict.fromkeys(query.kind for of in queries for query in of))
    embedder = _embedder(config, kinds, device)
    space = space_of(embedder.trained, config.length)
    width, whose = (pipeline.width, pipeline.name) if adapter is None else (adapter.width, adapter.name)
    require_width(embedder.trained, space, width, whose)
    leads_from_grey = adapter is None and is_grey(embedder, space, config.unconditional)
    chosen = "float16" if device.startswith("cuda") else "float32"
    precision = chosen if config.precision == "auto" else config.precision
    settings = {
        "queries": terms,
        "model": _about(embedder, [*kinds, space.modality]),
        "space": {"modality": space.modality, "length": space.length},
        "pipeline": pipeline.about(),
        "ip_adapter": adapter.about() if adapter else None,
        **how._asdict(),
        **{name: getattr(config, name) for name in ("num", "seed", "variant")},
        "unconditional": "grey" if leads_from_grey else "zeros",
        "precision": precision,
    }
    names, licences = [named(of) for of in queries], _licences(embedder, pipeline, adapter)
    return Plan(embedder, space, queries, names, pipeline, adapter, how, precision, leads_from_grey, settings, licences)


def _embedder(config: GenerateConfig, kinds: Sequence[str], device: str) -> Embedder:
    """The model, which knows all kinds that are asked by."""
    recipes = {name: to_plain(part) for name, part in config.encoders.items()}
    found = Embedder(config.model, encoders=recipes, device=device, trust_code=config.trust_code)
    for kind in kinds:
        found.trained.require_known(kind)
    return found


def _about(embedder: Embedder, modalities: Sequence[str]) -> dict[str, Any]:
    """By what a model is known again, with the encoders that have a part in this."""
    trained, encoders = embedder.trained, embedder.trained.record["config"]["encoders"]
    used = {modality: list(encoders[modality]) for modality in dict.fromkeys(modalities)}
    return {"name": trained.folder.resolve().name, "sha256": weights_sha256(trained.model), "encoders": used}


def _licences(embedder: Embedder, pipeline: Pipeline, adapter: IPAdapter | None) -> dict[str, str]:
    found = {"model": known(licence_of_folder(embedder.trained.folder)), "pipeline": pipeline.licence}
    return {**found, "ip_adapter": adapter.licence} if adapter else found


def _how(config: GenerateConfig, pipeline: Pipeline) -> How:
    """What a pipeline is told, with its own defaults where nothing is said.

    Raises:
        ConfigError: it takes no prompt, and one is given.
    """
    if pipeline.kind == KANDINSKY and (config.prompt or config.negative_prompt):
        raise ConfigError(
            f"{pipeline.name} draws from an embedding alone: leave out prompt and negative_prompt, or add a text to "
            "what is drawn from."
        )
    steps, guidance = default_of(pipeline.kind, "num_inference_steps"), default_of(pipeline.kind, "guidance_scale")
    return How(
        config.prompt,
        config.negative_prompt,
        steps if config.steps is None else config.steps,
        guidance if config.guidance is None else config.guidance,
        config.height,
        config.width,
        config.ip_adapter_scale,
    )
