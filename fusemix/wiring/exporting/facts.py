"""What is known of a trained model beside its weights and encoders: data, training, figures.

Place in the flow: checkpoint, run folder, reports -> plain facts -> card.py.
Only names travel: where things lie on this machine is nobody else's business.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from fusemix.disk.files import differences, read_json
from fusemix.errors import RunError
from fusemix.fusion.callbacks import MONITOR
from fusemix.fusion.checkpoints import ENDED, MEAN_RECALL, weights_sha256
from fusemix.latents.description import SET
from fusemix.reports.reading import Report, read_report


class DataFacts(NamedTuple):
    """A latent set that the run knew.

    Attributes:
        name: data set and split.
        use: what it was for.
        pairs: links in it.
        links: hash of them.
        revision: of the data set; None where the set is gone or has changed since.
        items: modality -> unique items; None likewise.
    """

    name: str
    use: str
    pairs: int
    links: str
    revision: str | None
    items: dict[str, int] | None


def data_facts(record: Mapping[str, Any], run: Path) -> list[DataFacts]:
    """The sets of a run, in the order of its settings.

    Args:
        record: what its checkpoint says about it.
        run: its folder, whose config.yaml says where the sets lay.
    """
    settings = run / "config.yaml"
    config = _settings_of(settings) if settings.is_file() else {}
    parts = [(record, config, record["config"]["holdout"])]
    parts += [(also, config.get("also", {}).get(name, {}), also["holdout"]) for name, also in record["also"].items()]
    found = []
    for part, where, holdout in parts:
        held_out = f", {100 * holdout:g} % of it held out to choose on" if holdout else ""
        found.append(_set_facts(part["train"], where.get("train"), f"training{held_out}"))
        if part["validation"] and part["validation"] != part["train"]:
            found.append(_set_facts(part["validation"], where.get("validation"), "choosing the epoch"))
    return found


def _settings_of(path: Path) -> dict[str, Any]:
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (ValueError, yaml.YAMLError) as error:
        raise RunError(
            f"{path} is damaged: {error}. It says where the sets lay; delete it to export without."
        ) from error
    if not isinstance(config, dict):
        raise RunError(f"{path} is damaged: it holds no settings. Delete it to export without what it says.")
    return config


def _set_facts(noted: Mapping[str, Any], folder: str | None, use: str) -> DataFacts:
    path = Path(folder or "") / SET
    about = read_json(path) if folder and path.is_file() else {}
    if about.get("links_sha256") != noted["links"]:  # gone, or other data by now
        return DataFacts(noted["name"], use, noted["num_links"], noted["links"], None, None)
    items = {about[side]["modality"]: about[side]["num_items"] for side in ("left", "right")}
    return DataFacts(noted["name"], use, noted["num_links"], noted["links"], about["revision"], items)


def training_facts(record: Mapping[str, Any], name: str, checkpoint: Mapping[str, Any]) -> dict[str, str]:
    """Settings in short, by what people call them.

    Args:
        record: what the checkpoint says about its run.
        name: of the checkpoint, `best` or `last`.
        checkpoint: all of it.
    """
    config = record["config"]
    optim, share = config["optim"], record.get(ENDED, {}).get("share", config["closed_form"]["share"])
    contrastive = f"loss {config['loss']['name']}, mixup {config['mixup']['name']}"
    method = "closed form (weighted canonical correlation analysis)" if config["method"] == "csa" else contrastive
    facts = {"method": method, "preprocessing of latents": ", ".join(config["preprocess"]) or "none"}
    if config["method"] != "csa":
        facts["optimiser"] = (
            f"learning rate {optim['lr']:g}, weight decay {optim['weight_decay']:g}, batches of "
            f"{optim['batch_size']:,}, {optim['max_epochs']:,} epochs at most"
        )
        facts["epoch"] = f"{checkpoint['epoch']:,}, counted from 0, the {name} one"
    if share:
        facts["closed form beside the adapters"] = f"{share:g} of each cosine"
    if name == "best" and (score := _chosen_by(checkpoint, record)) is not None:
        facts["mean recall on validation"] = f"{100 * score:.1f} %, by which the epoch was chosen"
    return facts | {"seed": str(config["seed"])}


def _chosen_by(checkpoint: Mapping[str, Any], record: Mapping[str, Any]) -> float | None:
    """What the best checkpoint was chosen by, of the model as it ended; None where nothing was to choose."""
    if MEAN_RECALL in record.get(ENDED, {}):
        return float(record[ENDED][MEAN_RECALL])
    states = [state for state in checkpoint.get("callbacks", {}).values() if state.get("monitor") == MONITOR]
    scores = [state["best_model_score"] for state in states if state.get("best_model_score") is not None]
    return float(scores[0]) if scores else None


def reports_of(
    paths: Sequence[str], name: str, checkpoint: Mapping[str, Any], record: Mapping[str, Any]
) -> list[Report]:
    """Reports on this very checkpoint.

    Args:
        paths: report folders or report.json files.
        name: of the checkpoint, `best` or `last`.
        checkpoint: all of it.
        record: what it says about its run.

    Raises:
        RunError: one cannot be read, or measured another model.
    """
    own = {
        "checkpoint": name,
        "epoch": checkpoint["epoch"],
        "train": record["train"]["name"],
        "validation": record["validation"]["name"],
        "config": record["config"],
    }
    reports = [read_report(Path(path)) for path in paths]
    for path, report in zip(paths, reports, strict=True):
        measured = report.data.get("model", {})
        noted = {"weights_sha256": weights_sha256(checkpoint)} if "weights_sha256" in measured else {}
        wanted = {**own, **noted}
        if lines := differences({key: measured.get(key) for key in wanted}, wanted):
            raise RunError(
                f"{path} measured another model than the one exported:\n  " + "\n  ".join(lines) + "\n"
                "Measure this one: python eval_retrieval.py model=RUN …"
            )
    return reports
