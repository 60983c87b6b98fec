"""Settings of drawing pictures from sounds, texts and pictures.

Place in the flow: see fusemix/config/__init__.py.
"""

from dataclasses import dataclass, field
from typing import Literal

from fusemix.config.checks import MOST_SEED, or_auto
from fusemix.config.compute import ComputeConfig
from fusemix.config.parts import PartConfig
from fusemix.config.shapes import BARE_OR_FILES
from fusemix.config.writing import WritingConfig
from fusemix.errors import ConfigError
from fusemix.parts.kinds import Location, Place
from fusemix.parts.ranges import positive, within

MOST_PICTURES = 10_000
"""Of one query."""
MOST_STEPS = 1000
"""Schedulers have no more."""
MOST_SIDE, UNIT = 4096, 8
"""Of a picture, in pixels: the longest side, and what sides are multiples of."""
MOST_GUIDANCE = 100.0
PRECISIONS = ("auto", "float16", "bfloat16", "float32")


@dataclass(frozen=True, kw_only=True)
class GenerateConfig(WritingConfig):
    """Draw pictures from sounds, texts and pictures, whose embeddings a run brings into a generator's space."""

    model: Place
    """Run folder, exported model, URL of one, or name on the hub; one side of it has the adapter identity, over the
    generator's own image encoder."""
    audio: list[Location] = field(default_factory=list)
    """Files of sounds to draw from."""
    text: list[str] = field(default_factory=list, metadata=BARE_OR_FILES)
    """Texts to draw from; bare words are one: single words together, or each that stands in quotes."""
    image: list[Location] = field(default_factory=list)
    """Files of pictures to draw from."""
    each: bool = False
    """Draw from each of several by itself; otherwise they are added up, as in search."""
    pipeline: Location
    """What draws, of diffusers: a folder or a name on the hub. Kandinsky 2.2's decoder, or Stable Diffusion or SDXL
    with an IP-Adapter."""
    revision: str | None = None
    """Of a pipeline on the hub: commit, tag or branch; null: the newest."""
    variant: str | None = None
    """Of the pipeline's files, such as fp16 where there are files of that name."""
    ip_adapter: Location | None = None
    """For Stable Diffusion and SDXL: folder of an IP-Adapter that takes one image embedding, or its name on the hub."""
    ip_adapter_weights: str = "models/ip-adapter_sd15.safetensors"
    """File of its weights, below that."""
    ip_adapter_scale: float = 1.0
    """How much it counts beside the prompt; 0 leaves the prompt alone."""
    prompt: str = ""
    """What is drawn besides, in words; not for Kandinsky's decoder, which takes none."""
    negative_prompt: str = ""
    """What is kept out, in words; likewise."""
    num: int = 4
    """Pictures of a query."""
    seed: int = 0
    """Of the first picture of a query; the next ones have the numbers that follow."""
    steps: int | None = None
    """Of denoising; null: the pipeline's own default."""
    guidance: float | None = None
    """How strongly pictures follow what they are drawn from; up to 1 there is none. null: the pipeline's own."""
    unconditional: Literal["auto", "grey", "zeros"] = "auto"
    """What guidance leads away from, in Kandinsky's decoder: grey, the embedding of a picture of one colour, as its own
    prior has it, or zeros; auto: grey where the run can embed pictures. IP-Adapters have zeros."""
    length: float | None = None
    """Of the embedding that the pipeline is given; null: the mean of the latents that the run was trained on."""
    height: int | None = None
    """In pixels, a multiple of 8; null: the pipeline's own default."""
    width: int | None = None
    """Likewise."""
    batch_size: int | str = "auto"
    """Pictures drawn at once, halved where memory does not suffice; no picture depends on it. auto starts with 8."""
    precision: str = "auto"
    """What the pipeline computes in: float16, bfloat16 or float32; auto: float16 on a GPU, float32 on a CPU."""
    out: Location
    """Folder that receives the pictures."""
    compute: ComputeConfig = field(default_factory=ComputeConfig)
    """Where to compute, on one device."""
    encoders: dict[str, PartConfig] = field(default_factory=dict)
    """Encoders by the names of the latents that they made, where the run does not know what builds them, or they
    moved."""
    trust_code: bool = False
    """Run code that the model names, where its adapters or encoders are not fusemix's own; a refusal says which. What
    is given in encoders runs anyway."""

    def __post_init__(self) -> None:
        """Check what can be checked without data."""
        super().__post_init__()
        self.compute.require_one()
        within("num", self.num, 1, MOST_PICTURES)
        within("seed", self.seed, 0, MOST_SEED)
        or_auto("batch_size", self.batch_size, 1, MOST_PICTURES)
        within("ip_adapter_scale", self.ip_adapter_scale, 0.0, MOST_GUIDANCE)
        if self.precision not in PRECISIONS:
            raise ConfigError(f"precision is {self.precision!r}, but must be one of {', '.join(PRECISIONS)}.")
        if self.steps is not None:
            within("steps", self.steps, 1, MOST_STEPS)
        if self.guidance is not None:
            within("guidance", self.guidance, 0.0, MOST_GUIDANCE)
        if self.length is not None:
            positive("length", self.length)
        for name in ("height", "width"):
            side = getattr(self, name)
            if side is not None:
                within(name, side, UNIT, MOST_SIDE)
                if side % UNIT:
                    raise ConfigError(f"{name} is {side}, but must be a multiple of {UNIT}.")
        if not (self.text or self.image or self.audio):
            raise ConfigError(
                "nothing to draw from. Write: fusemix generate --audio rain.wav --model RUN --pipeline PIPELINE --out "
                "FOLDER"
            )
