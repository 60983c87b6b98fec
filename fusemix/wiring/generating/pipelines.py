"""What draws: which pipelines of diffusers take an embedding, and how wide it must be. No weights are read yet.

Place in the flow: a folder, or a name on the hub -> Pipeline, or why it is none that can draw from an embedding.
Not here: loading and drawing (drawing.py), and IP-Adapters (ip_adapters.py).

A pipeline's files are data: they name classes, and these must be of diffusers or transformers.
"""

from collections.abc import Mapping
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any, NamedTuple

from huggingface_hub import hf_hub_download

from fusemix.disk.files import read_json, sha256_of_file, sha256_of_json
from fusemix.errors import ConfigError, DamagedFileError, first_line
from fusemix.models.hub import HUB_ERRORS, HUB_NAME
from fusemix.models.licences import UNKNOWN, licence_of_folder, licence_of_hub_model
from fusemix.parts.extras import install, packages_of

INDEX, CONFIG = "model_index.json", "unet/config.json"
KANDINSKY = "KandinskyV22Pipeline"
BESIDE_A_PROMPT = ("StableDiffusionPipeline", "StableDiffusionXLPipeline")
"""Take an embedding through an IP-Adapter, and a prompt."""
LIBRARIES = (None, "diffusers", "transformers")
LEFT_OUT = ("safety_checker", "feature_extractor", "image_encoder")
"""Parts of Stable Diffusion that nothing is loaded of: pictures are neither judged nor embedded here."""
SMALL = (".json", ".txt")
SUPPORTED = f"{KANDINSKY} does, and {' and '.join(BESIDE_A_PROMPT)} with an IP-Adapter"


class Pipeline(NamedTuple):
    """A pipeline, as its configs describe it.

    Attributes:
        name: on the hub, or of the folder.
        kind: class of diffusers.
        folder: with its configs.
        revision: commit on the hub; None of a folder.
        licence: as its card says.
        width: of the embedding that it takes by itself; None where an IP-Adapter takes it.
        cross_width: of what its attention takes from an IP-Adapter.
        files: hash that tells its files apart.
    """

    name: str
    kind: str
    folder: Path
    revision: str | None
    licence: str
    width: int | None
    cross_width: int | None
    files: str

    def about(self) -> dict[str, Any]:
        """By what it is known again, as plain data."""
        return {"name": self.name, "class": self.kind, "revision": self.revision, "files": self.files}


def diffusers() -> Any:
    """The package, which takes seconds to import.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        return import_module("diffusers")
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"drawing pictures needs the package {error.name}. Install it with: {install(packages_of('generate'))}"
        ) from error


def pipeline_at(name: str, revision: str | None) -> Pipeline:
    """What a pipeline is, by its configs.

    Args:
        name: of its folder, or on the hub.
        revision: on the hub.

    Raises:
        ConfigError: there is none, or none that takes an embedding.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        if revision is not None:
            raise ConfigError(f"revision={revision} is for pipelines on the hub, and {folder} is a folder.")
        return _described(folder, folder.resolve().name, None, licence_of_folder(folder), _hash_of(folder))
    found = file_at_hub(name, INDEX, revision)
    commit = found.parent.name
    _kind_of(found, name)  # before anything else is fetched
    file_at_hub(name, CONFIG, commit)
    return _described(found.parent, name, commit, licence_of_hub_model(name, commit), commit)


def file_at_hub(name: str, file: str, revision: str | None) -> Path:
    """A file on the hub, fetched where it is not there yet.

    Raises:
        ConfigError: there is neither a folder of that name nor such a file.
    """
    if not HUB_NAME.fullmatch(name):
        raise ConfigError(f"there is no folder {name}. Give a folder, or organisation/model on the hub.")
    try:
        return Path(hf_hub_download(name, file, revision=revision, library_name="fusemix"))
    except HUB_ERRORS as error:
        raise ConfigError(
            f"there is no folder {name}, and on the hub {name}/{file} is not available: {first_line(error)} Check the "
            "name, the network and HF_HUB_OFFLINE."
        ) from error


def known(licence: str) -> str:
    """A licence as pictures state it."""
    return "unknown" if licence == UNKNOWN else licence


def _described(folder: Path, name: str, revision: str | None, licence: str, files: str) -> Pipeline:
    kind = _kind_of(folder / INDEX, name)
    try:
        unet = read_json(folder / CONFIG)
        if not isinstance(unet, dict):
            raise DamagedFileError(f"{folder / CONFIG} holds no settings.")
    except (OSError, DamagedFileError) as error:
        raise ConfigError(f"{name} is damaged: {CONFIG} cannot be read ({first_line(error)})") from error
    width = unet.get("encoder_hid_dim") if kind == KANDINSKY else None
    if kind == KANDINSKY and (unet.get("encoder_hid_dim_type"), unet.get("addition_embed_type")) != (
        "image_proj",
        "image",
    ):
        raise ConfigError(f"{name} takes no image embedding: its unet is not that of Kandinsky 2.2's decoder.")
    return Pipeline(name, kind, folder, revision, known(licence), width, unet.get("cross_attention_dim"), files)


def _kind_of(index: Path, name: str) -> str:
    """Class of a pipeline that can draw from an embedding, and whose parts are of libraries that are known."""
    if not index.is_file():
        raise ConfigError(f"{name} is no pipeline of diffusers: it has no {INDEX}.")
    about = read_json(index)
    kind = about.get("_class_name") if isinstance(about, dict) else None
    if kind != KANDINSKY and kind not in BESIDE_A_PROMPT:
        raise ConfigError(f"{name} is a {kind}, which draws from no embedding of a picture. {SUPPORTED}.")
    for part, value in about.items():
        library = value[0] if isinstance(value, list) and value else None
        if part not in LEFT_OUT and library not in LIBRARIES:
            raise ConfigError(
                f"{name} is not opened: its {part} is of {library!r}, and a pipeline may name parts of diffusers and "
                "transformers alone."
            )
    return str(kind)


def _hash_of(folder: Path) -> str:
    """Of the contents of configs and of the sizes of weights, which are too large to be read for that."""
    found: Mapping[str, Any] = {
        path.relative_to(folder).as_posix(): sha256_of_file(path) if path.suffix in SMALL else path.stat().st_size
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    return sha256_of_json(found)


def default_of(kind: str, setting: str) -> Any:
    """What a pipeline does where it is not told: its own `num_inference_steps`, `guidance_scale`."""
    return signature(getattr(diffusers(), kind).__call__).parameters[setting].default
