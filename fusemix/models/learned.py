"""What a run has learned from: noted in its folder, and counted again among the items of an evaluation.

Place in the flow: LatentData -> data.json of a run; data.json + the items that are measured -> `seen` of a report.

A set is known again by its hashes, and items by name and latent; see latents/overlap.py. For that the set must be
where it was, or be the very one that is measured.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64

from fusemix.config import TrainConfig
from fusemix.disk.files import read_json, sha256_of_json
from fusemix.errors import FusemixError, RunError
from fusemix.fusion.runs import DATA
from fusemix.latents.batches import split_links
from fusemix.latents.distinct import distinct_rows
from fusemix.latents.galleries import MOST_CHOSEN_AMONG, SideItems, gallery_of, sampled
from fusemix.latents.loader import LatentData
from fusemix.latents.overlap import shared_items
from fusemix.latents.sets import LatentSet, Side, set_of_one_side
from fusemix.latents.training_sets import TrainingSet
from fusemix.models.fitting import require_same_encoders

Rows = tuple[Int64[np.ndarray, " left"], Int64[np.ndarray, " right"]]
TRAINED, CHOSEN = "trained on", "chosen on"
UNPAIRED = "unpaired"
"""Key of an entry whose items were trained on without partners: their modality."""
HASHES = ("left", "right", "links")
"""Of a set, by which it is known again."""
FOR = {
    TRAINED: "they say what the model remembers, and not how it finds what is new to it",
    CHOSEN: "the best epoch is the one that finds these best",
}


def learned_from(config: TrainConfig, data: LatentData, place: Path) -> list[dict[str, Any]]:
    """What is noted in `data.json`, as plain data: sets that a run trains and chooses on, and those of `init_from`.

    Args:
        data: its sets.
        place: its folder; what stands there of `init_from`, whose run may be gone since, is kept.
    """
    own = [entry for training_set in data.training_sets for entry in _entries(config, training_set)]
    own += [_without_partners(config, modality, items) for modality, items in data.unpaired.items()]
    if not config.init_from:
        return own
    noted = [entry for entry in noted_in(place) or [] if entry.get("inherited")]
    path = Path(config.init_from)
    before = noted_in(path if path.is_dir() else path.parent.parent)
    inherited = noted or before or [{"use": TRAINED, "set": f"the data of {path.name}"}]
    return [*own, *({**entry, "inherited": True} for entry in inherited)]


def _entries(config: TrainConfig, training_set: TrainingSet) -> list[dict[str, Any]]:
    about = config.also[training_set.name] if training_set.name else config
    share = 0.0 if training_set.is_validated_apart else about.holdout
    cut = {"holdout": share, "seed": config.seed}
    found = [{"use": TRAINED, **_about(training_set.train, config), **cut}]
    if training_set.gallery is not None:
        among = {"chosen_among": MOST_CHOSEN_AMONG} if training_set.is_sampled else {}
        found.append({"use": CHOSEN, **_about(training_set.validation, config), **cut, **among})
    return found


def _without_partners(config: TrainConfig, modality: str, items: SideItems) -> dict[str, Any]:
    latent_set = set_of_one_side(items.side.folder, modality, config.encoders[modality])
    return {"use": TRAINED, **_about(latent_set, config), "holdout": 0.0, "seed": config.seed, UNPAIRED: modality}


def _about(latent_set: LatentSet, config: TrainConfig) -> dict[str, Any]:
    return {
        "set": latent_set.name,
        "folder": str(latent_set.folder.resolve()),
        "encoders": {side.modality: [store.folder.name for store in side.stores] for side in latent_set.sides},
        **_hashes(latent_set),
        "latents": {side.modality: of_shards(side) for side in latent_set.sides},
    }


def _hashes(latent_set: LatentSet) -> dict[str, Any]:
    about = latent_set.description
    return {"left": about["left"]["sha256"], "right": about["right"]["sha256"], "links": about["links_sha256"]}


def of_shards(side: Side) -> str:
    """A hash of all latents of a side, from what their stores say of their shards."""
    return sha256_of_json([[shard.sha256 for shard in store.manifest.shards] for store in side.stores])


def noted_in(run: Path) -> list[dict[str, Any]] | None:
    """What `data.json` of a run says; None where it is not there, as in runs of before, or damaged."""
    try:
        found = read_json(run / DATA)
    except (OSError, FusemixError):
        return None
    is_list = isinstance(found, list) and all(isinstance(entry, dict) and "use" in entry for entry in found)
    return found if is_list else None


def seen_before(
    run: Path, checkpoint: str, record: Mapping[str, Any], latent_set: LatentSet, rows: Rows
) -> list[dict[str, Any]]:
    """How much of what is measured a run has learned from, as plain data for a report.

    Args:
        run: its folder.
        checkpoint: `best` or `last`.
        record: what its checkpoint says about it.
        latent_set: that is measured, with latents of the run's encoders.
        rows: of its two sides that are measured.

    Returns:
        For each set that was learned from: `set`, `use`, `shared` (modality -> how many of how many items, None where
        that cannot be known), and a `note` for people, which is empty where there is nothing to say.
    """
    entries = noted_in(run)
    if entries is None:
        sets = [record["train"], *(also["train"] for also in record.get("also", {}).values())]
        entries = [{"use": TRAINED, "set": one["name"], **{key: one[key] for key in HASHES}} for one in sets]
    return [_seen(entry, checkpoint, latent_set, (distinct_rows(rows[0]), distinct_rows(rows[1]))) for entry in entries]


def _seen(entry: Mapping[str, Any], checkpoint: str, latent_set: LatentSet, rows: Rows) -> dict[str, Any]:
    name, use = str(entry.get("set")), str(entry["use"])
    found: dict[str, Any] = {"set": name, "use": use, "shared": dict.fromkeys(_modalities(latent_set))}
    try:
        learned = _opened(entry, latent_set)
        found["shared"] |= _shared(entry, learned, latent_set, rows)
        unknown = ""
    except (FusemixError, OSError, KeyError, TypeError, ValueError):  # of a file that a person may have changed, too
        unknown = _unknown(entry, latent_set)
    told = use == TRAINED or (use == CHOSEN and checkpoint == "best")
    return {**found, "note": (unknown if use == TRAINED else "") or (_note(found) if told else "")}


def _modalities(latent_set: LatentSet) -> list[str]:
    return [side.modality for side in latent_set.sides]


def _opened(entry: Mapping[str, Any], measured: LatentSet) -> LatentSet:
    """The set that was learned from: where it was, or the one that is measured.

    Raises:
        FusemixError: it is neither.
    """
    hashes = {key: entry[key] for key in HASHES}
    latents = {side.modality: of_shards(side) for side in measured.sides}
    if hashes == _hashes(measured) and latents == entry.get("latents"):
        return measured
    learned = LatentSet(Path(entry["folder"]), entry["encoders"])
    if hashes != _hashes(learned):
        raise RunError(f"{learned.folder} holds other items by now.")
    return learned


def _shared(entry: Mapping[str, Any], learned: LatentSet, measured: LatentSet, rows: Rows) -> dict[str, Any]:
    """Modality -> how many of how many items that are measured were learned from."""
    of_links = _rows_used(entry, learned)
    found = {}
    for side, some in zip(measured.sides, rows, strict=True):
        for place, other in enumerate(learned.sides):
            if other.modality == side.modality and other.modality == entry.get(UNPAIRED, other.modality):
                require_same_encoders(str(other.folder), side.modality, side.fingerprints, other, side.accepted)
                shared = shared_items(other, of_links[place], SideItems(side, some))
                found[side.modality] = [int(shared.sum()), len(some)]
    return found


def _rows_used(entry: Mapping[str, Any], learned: LatentSet) -> Rows:
    """Rows of the two sides that were trained on, or chosen on."""
    if UNPAIRED in entry:  # it may have no links
        return np.flatnonzero(learned.left.valid), np.flatnonzero(learned.right.valid)
    links, seed = learned.links, int(entry["seed"])
    train, held_out = links, None
    if share := float(entry["holdout"]):
        train, held_out = split_links(links, share, seed)
    if entry["use"] == TRAINED:
        return distinct_rows(train[:, 0]), distinct_rows(train[:, 1])
    gallery = gallery_of(learned, held_out)
    return sampled(gallery, int(entry["chosen_among"]), seed).rows if "chosen_among" in entry else gallery.rows


def _note(found: Mapping[str, Any]) -> str:
    """What a reader has to know first. Two pictures may have one caption, so equal texts alone say nothing."""
    counts = {modality: count for modality, count in found["shared"].items() if count}
    telling = {modality: count for modality, count in counts.items() if modality != "text"} or counts
    if not any(shared for shared, _ in telling.values()):
        return ""
    told = " and ".join(f"{shared:,} of {total:,} {modality} items" for modality, (shared, total) in counts.items())
    how = "meaningless" if all(shared == total for shared, total in telling.values()) else "too good"
    if found["use"] == CHOSEN:
        how = "too good"
    return (
        f"{told} that are measured here were {found['use']} ({found['set']}). Figures are {how}: {FOR[found['use']]}."
    )


def _unknown(entry: Mapping[str, Any], measured: LatentSet) -> str:
    name, hashes = entry.get("set"), _hashes(measured)
    if all(entry.get(key) == hashes[key] for key in ("left", "right")):
        return f"Items that are measured here bear the names of all of {name}, which was trained on."
    why = f"{name} is not where it was when the run was trained, or holds something else by now"
    if "folder" not in entry:
        why = f"it was not noted where {name} lies"
    return f"Whether items that are measured here were trained on cannot be known: {why}."
