"""The folder of an exported model: written whole or not at all, and read back.

Place in the flow: checkpoint and recipes of encoders -> config.json, model.safetensors -> Exported.
Not here: what builds the encoders elsewhere (recipes.py), and the card (card.py).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError
from safetensors.torch import load_file, save

from fusemix.disk.discarding import Owned, require_ours, says
from fusemix.disk.files import lies_within, read_json, sha256_of_file, write_atomic, write_json
from fusemix.disk.out_folder import is_empty
from fusemix.errors import RunError, first_line
from fusemix.fusion.adapters import ADAPTERS
from fusemix.fusion.checkpoints import HUBS, foreign_adapters, model_of
from fusemix.fusion.checkpoints import VERSION as RECORD_VERSION
from fusemix.fusion.model import FusionModel
from fusemix.models.recipes import NamedRecipe
from fusemix.parts.trust import require_trust

CONFIG, WEIGHTS, INSIDE = "config.json", "model.safetensors", "encoders"
FORMAT, VERSION = "fusemix.model", 1
PATHS = ("model", "pretrained")
"""Options of encoders that may name a folder or a file."""
CODE = (".py", ".pyc", ".pyw", ".pyx", ".so", ".pyd", ".dll", ".dylib", ".sh")
AGAIN = "Fetch or copy the whole folder again, or export the run again: fusemix export …"


class Travelling(NamedTuple):
    """What builds an encoder elsewhere.

    Attributes:
        name: as in `NamedRecipe`.
        recipe: `name` and `options`, without those that name something inside the export; None where nothing says it.
        inside: option -> path of a folder or file, relative to the export.
    """

    name: str
    recipe: dict[str, Any] | None
    inside: dict[str, str]


class Exported(NamedTuple):
    """An exported model, read back.

    Attributes:
        file: that holds the weights.
        record: what the checkpoint said about its run.
        model: adapters with their weights, in evaluation mode.
        recipes: modality -> what builds its encoders on this machine.
    """

    file: Path
    record: dict[str, Any]
    model: FusionModel
    recipes: dict[str, list[NamedRecipe]]


def is_export(folder: Path) -> bool:
    """Whether a folder says that it is an exported model, of whatever version."""
    try:
        about = read_json(folder / CONFIG)
    except (OSError, ValueError):
        return False
    return isinstance(about, dict) and about.get("format") == FORMAT


EXPORT = Owned(
    "an exported model",
    lambda folder: says(folder / CONFIG, FORMAT, VERSION),
    (
        CONFIG,
        WEIGHTS,
        HUBS,
        "README.md",
        "modules.json",
        "config_sentence_transformers.json",
        f"{INSIDE}/**",
        "onnx/*.onnx",
        "onnx/*.data",
    ),
)


def require_replaceable(out: Path, overwrite: bool) -> None:
    """Refuse to replace anything but an exported model, and that only where it is meant.

    Raises:
        RunError: something else is there, or overwrite is false.
    """
    if not out.exists() or (out.is_dir() and is_empty(out)):
        return
    if not is_export(out):
        raise RunError(f"{out} holds something that is no exported model. Choose another out.")
    if not overwrite:
        raise RunError(f"{out} holds an exported model. Choose another out, or replace it with overwrite=true.")
    require_ours(out, EXPORT)


def folder_bytes(folder: Path) -> int:
    """Size of all files below."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def require_own_adapters(record: Mapping[str, Any], where: Path) -> None:
    """Refuse adapters that are not fusemix's own: a folder of data cannot carry their code.

    Raises:
        RunError: one is not.
    """
    if foreign := foreign_adapters(record):
        raise RunError(
            f"{where}: the adapter {foreign[0]} is not one of fusemix's own, and a model that travels carries no code. "
            f"Those that travel: {', '.join(ADAPTERS.names())}."
        )


def write_model(
    folder: Path,
    about: Mapping[str, Any],
    record: Mapping[str, Any],
    model: FusionModel,
    recipes: Mapping[str, list[Travelling]],
) -> None:
    """Write model.safetensors, then config.json.

    Args:
        folder: that receives them.
        about: where the model is from, for people.
        record: what the checkpoint says about its run.
        model: adapters with their weights.
        recipes: modality -> what builds its encoders elsewhere.
    """
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    with write_atomic(folder / WEIGHTS) as file:
        file.write(save(weights, metadata={"format": "pt"}))
    listed = {
        modality: [{"name": one.name, "source": one.recipe, "inside": one.inside} for one in of_modality]
        for modality, of_modality in recipes.items()
    }
    content = {"format": FORMAT, "version": VERSION, **about, "weights_sha256": sha256_of_file(folder / WEIGHTS)}
    write_json(folder / CONFIG, {**content, "encoders": listed, "record": dict(record)})


def read_export(folder: Path, trust_code: bool = False) -> Exported:
    """Read an exported model.

    Args:
        folder: of the export.
        trust_code: whether it may carry code, which is not run for that.

    Raises:
        UntrustedCodeError: it carries code, and may not.
        RunError: config.json or the weights are damaged, of another version, or not of one export.
    """
    about = _config(folder)
    file = folder / WEIGHTS
    if not file.is_file():
        raise RunError(f"{folder} is an exported model without {WEIGHTS}. {AGAIN}")
    if sha256_of_file(file) != about["weights_sha256"]:
        raise RunError(
            f"{file} is damaged, or of another export than the {CONFIG} beside it: its hash differs. {AGAIN}"
        )
    record = about["record"]
    require_own_adapters(record, folder)
    require_trust(f"{folder} carries code and", carried_code(folder), trust_code)
    model = model_of(record)
    try:
        model.load_state_dict(load_file(file))
    except (SafetensorError, RuntimeError) as error:
        first = first_line(error)
        raise RunError(f"{file} does not hold the adapters that {CONFIG} describes: {first} {AGAIN}") from error
    recipes = {
        modality: [NamedRecipe(one["name"], _resolved(folder, one)) for one in listed]
        for modality, listed in about["encoders"].items()
    }
    return Exported(file, record, model.eval(), recipes)


def _config(folder: Path) -> dict[str, Any]:
    file = folder / CONFIG
    try:
        about = read_json(file)
    except ValueError as error:
        raise RunError(f"{file} is not JSON ({error}). {AGAIN}") from error
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise RunError(f"{file} does not tell of an exported model of fusemix, whose format is {FORMAT!r}.")
    if about.get("version") != VERSION:
        raise RunError(
            f"{file} is of version {about.get('version')}, and this fusemix reads version {VERSION}. "
            "Install the fusemix that wrote it, or export the run again."
        )
    parts = {"weights_sha256": str, "encoders": dict, "record": dict}
    lacking = [key for key, kind in parts.items() if not isinstance(about.get(key), kind)]
    if lacking or not {"config", "dims", "encoders"} <= about["record"].keys():
        raise RunError(f"{file} is damaged: it has no {lacking[0] if lacking else 'whole record'}. {AGAIN}")
    if about["record"].get("version") != RECORD_VERSION:
        raise RunError(
            f"{file} describes a run of version {about['record'].get('version')}, and this fusemix reads version "
            f"{RECORD_VERSION}. Install the fusemix that wrote it, or train and export again."
        )
    return about


def _resolved(folder: Path, one: Mapping[str, Any]) -> dict[str, Any] | None:
    """What builds an encoder here, with the folders that lie inside the export as paths of this machine."""
    if one["source"] is None:
        return None
    options = dict(one["source"].get("options", {}))
    for option in PATHS:
        named = str(options.get(option, ""))
        if named.startswith((".", "/", "~")) or ".." in Path(named).parts:
            raise _outside(folder, one, options[option])
    for option, inside in one["inside"].items():
        path = folder / inside
        if not lies_within(path, folder):
            raise _outside(folder, one, inside)
        if not path.exists():
            raise RunError(f"{folder} lacks {inside}, which the encoder {one['name']} is built from. {AGAIN}")
        options[option] = str(path)
    return {"name": one["source"]["name"], "options": options}


def _outside(folder: Path, one: Mapping[str, Any], place: object) -> RunError:
    return RunError(f"{folder / CONFIG}: the encoder {one['name']} points outside the folder, to {place}.")


def carried_code(folder: Path) -> list[str]:
    """Files below a folder that hold code."""
    return [str(path.relative_to(folder)) for path in sorted(folder.rglob("*")) if path.suffix.lower() in CODE]
