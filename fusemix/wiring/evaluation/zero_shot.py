"""Classification by prompts, wired: the labelled set, its embeddings, and which item is of which class.

Place in the flow: ZeroShotConfig + a run, or latents that share a space -> embeddings and labels -> retrieval/.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int64
from torch import Tensor

from fusemix.config import ZeroShotConfig
from fusemix.errors import LatentStoreError
from fusemix.fusion.checkpoints import CHECKPOINTS, about, read_checkpoint, trained_model
from fusemix.latents.galleries import SideItems
from fusemix.latents.sets import LatentSet
from fusemix.models.cached import about_run, embed, unit_latents
from fusemix.models.fitting import fitting_set
from fusemix.wiring.evaluation.evaluate import require_same_width

Embed = Callable[[SideItems], Float[Tensor, "items dim"]]


class Subject(NamedTuple):
    """What is measured.

    Attributes:
        latent_set: whose items are.
        embed: gives embeddings of some of them.
        about: what the report says of the model.
        record: what the checkpoint says about its run; None without one.
    """

    latent_set: LatentSet
    embed: Embed
    about: dict[str, Any]
    record: dict[str, Any] | None


class Labels(NamedTuple):
    """Which items are of which class.

    Attributes:
        classes: as the data set calls them, in its order.
        words: their names, as written in the prompts.
        templates: of the prompts; empty where the set does not tell.
        items: of the left side that have latents and a class.
        class_of_item: position in `classes` of each of these.
        prompts: of the right side that have latents.
        class_of_prompt: position in `classes` of each of these.
    """

    classes: list[str]
    words: list[str]
    templates: list[str]
    items: SideItems
    class_of_item: Int64[np.ndarray, " items"]
    prompts: SideItems
    class_of_prompt: Int64[np.ndarray, " prompts"]


def subject_of(config: ZeroShotConfig, device: str) -> Subject:
    """A trained run on a set that its encoders made, or a set whose latents share a space as they are.

    Raises:
        ConfigError: latents that are to share a space are not of the same width, or a modality has no encoder.
        RunError: the run is missing, or the set was made by other encoders.
    """
    if config.model is None:
        latent_set = LatentSet(Path(config.latents), config.encoders)
        require_same_width("without a model", latent_set)
        return Subject(latent_set, unit_latents, {"run": None, "encoders": config.encoders}, None)
    checkpoint = read_checkpoint(Path(config.model) / CHECKPOINTS / f"{config.checkpoint}.ckpt")
    record = about(checkpoint)
    latent_set = fitting_set(Path(config.latents), record)
    model = trained_model(checkpoint, config.trust_code).to(device)
    trained = about_run(config.model, config.checkpoint, checkpoint)
    return Subject(latent_set, lambda items: embed(model, items, device), trained, record)


def labels_of(latent_set: LatentSet) -> Labels:
    """Which item is of which class, from the links to prompts and their column `class`.

    Raises:
        LatentStoreError: the set is not labelled, an item is of several classes, there are fewer than two, or a class
            has no prompt with latents.
    """
    table, where = latent_set.right.table, latent_set.folder
    if "class" not in table.column_names:
        raise LatentStoreError(
            f"{where}: its {latent_set.right.modality} items have no column 'class', so it does not say what is of "
            "which class. Cache a labelled data set: image_classes, audio_classes, esc50, imagenet, or one of your own "
            "whose right side is prompts with the columns id, caption, class."
        )
    names = table["class"].to_pylist()
    classes = list(dict.fromkeys(names))
    place = {name: number for number, name in enumerate(classes)}
    class_of_row = np.array([place[name] for name in names])
    prompts = np.flatnonzero(latent_set.right.valid)
    if len(classes) < 2:
        raise LatentStoreError(f"{where} has one class only, {classes[0]!r}; there is nothing to tell it from.")
    silent = sorted(set(range(len(classes))) - set(class_of_row[prompts].tolist()))
    if silent:
        raise LatentStoreError(
            f"{where}: {len(silent):,} classes have no prompt with latents, such as {classes[silent[0]]!r}. "
            "See quarantine.jsonl of the text stores."
        )
    items, class_of_item = _classes_of_items(latent_set, class_of_row)
    first = np.unique(class_of_row, return_index=True)[1].tolist()
    templates = table["template"].to_pylist() if "template" in table.column_names else []
    words = [_words(table["caption"][row].as_py(), templates[row]) for row in first] if templates else classes
    asked, named = SideItems(latent_set.left, items), SideItems(latent_set.right, prompts)
    return Labels(classes, words, list(dict.fromkeys(templates)), asked, class_of_item, named, class_of_row[prompts])


def _classes_of_items(
    latent_set: LatentSet, class_of_row: Int64[np.ndarray, " prompts"]
) -> tuple[Int64[np.ndarray, " items"], Int64[np.ndarray, " items"]]:
    left, found = latent_set.links[:, 0], class_of_row[latent_set.links[:, 1]]
    order = np.argsort(left, kind="stable")
    items, starts = np.unique(left[order], return_index=True)
    class_of_item = found[order][starts]
    several = class_of_item[np.searchsorted(items, left)] != found
    if several.any():
        item = latent_set.left.table["id"][int(left[several][0])].as_py()
        raise LatentStoreError(
            f"{latent_set.folder}: {item!r} is linked with prompts of several classes, and so are "
            f"{len(np.unique(left[several])) - 1:,} more. Items to classify must be of one class each."
        )
    return items, class_of_item


def _words(prompt: str, template: str) -> str:
    """What a prompt has in the place of its template's hole."""
    before, _, after = template.partition("{}")
    return prompt[len(before) : len(prompt) - len(after)]
