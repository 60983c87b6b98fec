"""Drawing: a pipeline that is loaded, an embedding, and seeds -> pictures.

Place in the flow: Pipeline, IPAdapter -> Drawer; latent, seeds -> PIL pictures, as they are drawn.
Not here: which pipelines can draw (pipelines.py), and what becomes of pictures (pictures.py).

Each picture has a generator of random numbers of its own, on the CPU: so it does not depend on the pictures that are
drawn beside it, but for the last bits of its numbers, nor on the kind of device.
"""

import contextlib
import logging
from collections.abc import Iterator, Sequence
from inspect import signature
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float32
from PIL import Image
from torch import Tensor

from fusemix.encoders.trouble import is_of_the_device, is_out_of_memory, one_line
from fusemix.errors import ConfigError, MachineError
from fusemix.models.hub import HUB_ERRORS
from fusemix.wiring.generating.ip_adapters import IPAdapter, weights_of
from fusemix.wiring.generating.pipelines import KANDINSKY, LEFT_OUT, Pipeline, diffusers

Latent = Float32[np.ndarray, " dim"]


class How(NamedTuple):
    """How pictures are drawn, whatever they are drawn from.

    Attributes:
        prompt, negative_prompt: in words; empty for Kandinsky.
        steps: of denoising.
        guidance: up to 1 there is none.
        height, width: in pixels; None leaves them to the pipeline.
        adapter_scale: how much an IP-Adapter counts.
    """

    prompt: str
    negative_prompt: str
    steps: int
    guidance: float
    height: int | None
    width: int | None
    adapter_scale: float


class Drawer:
    """A pipeline on its device.

    Args:
        pipeline: that takes an embedding.
        adapter: for Stable Diffusion.
        how: pictures are drawn.
        precision: of the weights, as torch calls it.
        variant: of the pipeline's files; None takes those without a name of their own.
        device: to draw on, as torch names it.

    Raises:
        ConfigError: it cannot be loaded; only safetensors are read.
        MachineError: the device has no room for it.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        adapter: IPAdapter | None,
        how: How,
        *,
        precision: str,
        variant: str | None,
        device: str,
    ) -> None:
        self.about, self._how, self.device = pipeline, how, device
        try:
            with _quiet():
                self._pipe = _loaded(pipeline, precision, variant)
                if adapter is not None:
                    weights: Any = weights_of(adapter)
                    self._pipe.load_ip_adapter(weights, subfolder="", weight_name="", image_encoder_folder=None)
                    self._pipe.set_ip_adapter_scale(how.adapter_scale)
                self._pipe.to(device)
        except (RuntimeError, ImportError, MemoryError, *HUB_ERRORS) as error:
            if is_out_of_memory(error):
                raise _no_room(f"{device} has no memory for {pipeline.name} in {precision}") from error
            raise ConfigError(f"{pipeline.name} cannot be loaded ({one_line(error)}).") from error
        self._pipe.set_progress_bar_config(disable=True)

    def draw(self, latent: Latent, away_from: Latent, seeds: Sequence[int]) -> list[Image.Image]:
        """Pictures of one embedding, all at once.

        Args:
            latent: with the length that the pipeline wants.
            away_from: what guidance leads away from.
            seeds: one a picture.

        Raises:
            ConfigError: numbers are not finite.
        """
        one, other = (
            torch.from_numpy(rows)[None].to(self.device, self._pipe.unet.dtype) for rows in (latent, away_from)
        )
        how, sizes = self._how, {"height": self._how.height, "width": self._how.width}
        settings = {
            **self._given(one, other, len(seeds)),
            **{name: side for name, side in sizes.items() if side is not None},
            "num_inference_steps": how.steps,
            "guidance_scale": how.guidance,
            "generator": [torch.Generator("cpu").manual_seed(seed) for seed in seeds],
            "output_type": "np",
        }
        with _quiet():
            found = self._pipe(**settings).images
        if not np.isfinite(found).all():
            precision = str(self._pipe.unet.dtype).removeprefix("torch.")
            raise ConfigError(
                f"{self.about.name} gives NaN in {precision}, of which pictures would be black. Give "
                "precision=float32, or bfloat16."
            )
        return [Image.fromarray(pixels) for pixels in (255 * found).round().astype(np.uint8)]

    def _given(self, one: Tensor, other: Tensor, count: int) -> dict[str, Any]:
        """What a pipeline is called with, of the embedding and what it leads away from."""
        if self.about.kind == KANDINSKY:  # which repeats embeddings by itself only where there is guidance
            return {"image_embeds": one.repeat(count, 1), "negative_image_embeds": other.repeat(count, 1)}
        embeds = torch.stack([other, one]) if self._how.guidance > 1 else one[None]
        return {
            "ip_adapter_image_embeds": [embeds],
            "prompt": self._how.prompt,
            "negative_prompt": self._how.negative_prompt,
            "num_images_per_prompt": count,
        }


def drawn(
    drawer: Drawer, latent: Latent, away_from: Latent, seeds: Sequence[int], batch_size: int
) -> Iterator[tuple[int, Image.Image]]:
    """Seeds and their pictures, in order; where memory does not suffice, half as many at once from then on.

    Raises:
        MachineError: there is no memory for a single one.
        ConfigError: the pipeline cannot draw with these settings.
    """
    left = list(seeds)
    while left:
        some = left[:batch_size]
        try:
            pictures = drawer.draw(latent, away_from, some)
        except (RuntimeError, MemoryError, ValueError, TypeError) as error:
            if is_of_the_device(error):
                raise
            if not is_out_of_memory(error):
                raise ConfigError(f"{drawer.about.name} cannot draw so ({one_line(error)}).") from error
            pictures = []
        if not pictures:
            if len(some) == 1:
                raise _no_room(f"{drawer.device} has no memory to draw one picture of this size")
            batch_size = len(some) // 2
            if drawer.device.startswith("cuda"):
                torch.cuda.empty_cache()
            continue
        yield from zip(some, pictures, strict=True)
        left = left[len(some) :]


def _no_room(fact: str) -> MachineError:
    return MachineError(
        f"{fact}. Pictures that are drawn already stay, and the same command goes on after them where there is more, "
        "as on another device. With another out, precision=float16 or bfloat16, or a lower height and width take less."
    )


def _loaded(pipeline: Pipeline, precision: str, variant: str | None) -> Any:
    """The pipeline with its weights; of one on the hub, what is not there yet is fetched."""
    package = diffusers()
    kind = getattr(package, pipeline.kind)
    place = pipeline.folder if pipeline.revision is None else pipeline.name
    left_out = {
        name: None for name in LEFT_OUT if pipeline.kind != KANDINSKY and name in signature(kind.__init__).parameters
    }
    return kind.from_pretrained(
        str(place),
        revision=pipeline.revision,
        variant=variant,
        dtype=getattr(torch, precision),
        use_safetensors=True,
        low_cpu_mem_usage=package.utils.is_accelerate_available(),
        **left_out,
    )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without what diffusers says of choices that are made on purpose: no safety checker, seeds on the CPU."""
    logger, bars = logging.getLogger("diffusers"), diffusers().utils.logging
    level, had_bars = logger.level, bars.is_progress_bar_enabled()
    logger.setLevel(logging.ERROR)
    bars.disable_progress_bar()
    try:
        yield
    finally:
        logger.setLevel(level)
        if had_bars:
            bars.enable_progress_bar()
