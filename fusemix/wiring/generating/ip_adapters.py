"""IP-Adapters, which give Stable Diffusion an image embedding beside its prompt.

Place in the flow: a file of weights -> IPAdapter, or why it cannot be used -> what diffusers loads.

Source: Ye et al., "IP-Adapter: Text Compatible Image Prompt Adapter for Text-to-Image Diffusion Models",
arXiv:2308.06721. Those that look at patches of a picture (Plus, Full) or at faces take no single embedding.
"""

from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError, safe_open
from torch import Tensor

from fusemix.disk.files import sha256_of_file
from fusemix.errors import ConfigError, first_line
from fusemix.models.licences import licence_of_folder, licence_of_hub_model
from fusemix.wiring.generating.pipelines import KANDINSKY, Pipeline, file_at_hub, known

PROJECTION = "image_proj.proj.weight"
TOKENS = 4
"""That such an adapter makes of one embedding."""
PARTS = ("image_proj", "ip_adapter")


class IPAdapter(NamedTuple):
    """An adapter, as the shapes of its weights describe it.

    Attributes:
        name: on the hub, or of its folder; and of its file.
        file: of its weights.
        licence: as its card says.
        width: of the embedding that it takes.
        cross_width: of what it gives to attention.
        sha256: of the file.
    """

    name: str
    file: Path
    licence: str
    width: int
    cross_width: int
    sha256: str

    def about(self) -> dict[str, Any]:
        """By what it is known again, as plain data."""
        return {"name": self.name, "sha256": self.sha256}


def adapter_at(name: str, weights: str) -> IPAdapter:
    """What an adapter is, by its weights.

    Args:
        name: of its folder, or on the hub.
        weights: its file, below that.

    Raises:
        ConfigError: there is none, it could hold code, or it takes no single embedding.
    """
    if not weights.endswith(".safetensors"):
        raise ConfigError(f"ip_adapter_weights is {weights}, but must be a .safetensors file: others may hold code.")
    folder = Path(name).expanduser()
    is_here = folder.is_dir()
    file = folder / weights if is_here else file_at_hub(name, weights, None)
    if not file.is_file():
        raise ConfigError(f"the IP-Adapter {folder} has no file {weights}. Name it with ip_adapter_weights=….")
    try:
        with safe_open(file, "pt") as opened:
            names = set(opened.keys())
            shape = opened.get_slice(PROJECTION).get_shape() if PROJECTION in names else None
    except SafetensorError as error:
        raise ConfigError(f"{file} cannot be read: {first_line(error)}. Fetch or copy it again.") from error
    if shape is None:
        raise ConfigError(
            f"{file.name} takes no single embedding of a picture: it is no plain IP-Adapter (Plus, Full and FaceID "
            "look at patches or faces). Give one such as ip-adapter_sd15.safetensors."
        )
    licence = licence_of_folder(folder) if is_here else licence_of_hub_model(name, None)
    label = f"{folder.resolve().name if is_here else name}/{weights}"
    return IPAdapter(label, file, known(licence), shape[1], shape[0] // TOKENS, sha256_of_file(file))


def adapter_for(pipeline: Pipeline, name: str | None, weights: str) -> IPAdapter | None:
    """The adapter that a pipeline needs, or None where it needs none.

    Raises:
        ConfigError: one is needed and not given, or the other way round; or it is not made for this pipeline.
    """
    if pipeline.kind == KANDINSKY:
        if name is not None:
            raise ConfigError(f"{pipeline.name} takes an embedding by itself: leave out ip_adapter.")
        return None
    if name is None:
        raise ConfigError(
            f"{pipeline.name} is a {pipeline.kind}, which takes an embedding through an IP-Adapter alone: give "
            "ip_adapter=…, such as h94/IP-Adapter."
        )
    found = adapter_at(name, weights)
    if found.cross_width != pipeline.cross_width:
        raise ConfigError(
            f"{found.name} is not made for {pipeline.name}: it gives its attention {found.cross_width} numbers, which "
            f"takes {pipeline.cross_width}. Adapters of Stable Diffusion 1.5 and of SDXL are not the same."
        )
    return found


def weights_of(adapter: IPAdapter) -> dict[str, dict[str, Tensor]]:
    """Its weights by part, as diffusers takes them."""
    found: dict[str, dict[str, Tensor]] = {part: {} for part in PARTS}
    with safe_open(adapter.file, "pt") as opened:
        names: list[str] = list(opened.keys())
        for name in names:
            part, _, rest = name.partition(".")
            if part in found:
                found[part][rest] = opened.get_tensor(name)
    return found
