"""Choose some pairs of a latent set.

    fusemix select LATENTS --size 5000 --method kdpp --out FOLDER

Writes a subset: a latent set of links alone, whose items and latents stay where they are.
"""

from pathlib import Path

from fusemix.commands.next_step import after_selecting, tell
from fusemix.config import SelectConfig
from fusemix.disk.discarding import clear_discarded, replacing, require_free, require_ours
from fusemix.disk.files import differences
from fusemix.disk.locks import one_writer
from fusemix.errors import OutputError
from fusemix.latents.description import SELECTION, SET, read_description
from fusemix.latents.inspection import set_facts
from fusemix.latents.subsets import SUBSET, is_subset, write_subset
from fusemix.progress import console
from fusemix.tables import pairs
from fusemix.wiring.selecting.select import Task, select, task_of

WIDTH = 80
"""Columns that every terminal has."""
SAID = {
    "modality": "compared by",
    "num_items": "items to choose from",
    "num_uniform": "pairs at random beside them",
    "log_determinant": "log det of their kernel",
    "worth": "mean cosine to the nearest one chosen",
    "least_cosine": "least cosine taken",
    "mean_cosine": "mean cosine taken",
}
"""Of what was found, for people."""


def main(config: SelectConfig) -> Path:
    """Choose pairs, and write them; returns the folder."""
    out = Path(config.out)
    with one_writer(out, doing="select", wait_sec=config.wait_sec):
        clear_discarded(out)
        task = task_of(config)
        if not _is_there(task, out):
            chosen = select(task)
            with replacing(out, SUBSET) as place:
                write_subset(place, chosen.table, chosen.description)
        _tell(task, out)
    return out


def _number(value: object) -> str:
    return f"{value:,.4g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


def _is_there(task: Task, out: Path) -> bool:
    """Whether the same subset lies there already.

    Raises:
        OutputError: another subset is there and is not to be overwritten, or something else.
    """
    if not is_subset(out):
        if (out / SET).exists():
            require_ours(out, SUBSET)
        require_free(out, SUBSET)
        return False
    if task.config.overwrite:
        require_ours(out, SUBSET)
        return False
    there = read_description(out / SET).get(SELECTION, {}).get("asked")
    there = there if isinstance(there, dict) else {}
    if found := differences(there, task.asked):
        in_both = there.keys() & task.asked.keys()
        lines = "\n  ".join([line for line in found if line.split(":")[0].split(".")[0] in in_both] or found)
        raise OutputError(
            f"{out} holds another subset:\n  {lines}\nChoose another out, or replace it with overwrite=true."
        )
    console.print(f"{out} is there already")
    return True


def _tell(task: Task, out: Path) -> None:
    facts, source = set_facts(out), task.chosen_from
    found = {key: value for key, value in facts.description[SELECTION].items() if key != "asked"}
    rows = [
        ("chosen by", task.asked["method"]),
        ("pairs", f"{facts.description['num_links']:,} of {len(source.links):,}"),
        *((f"{modality} items", f"{len(table):,}") for modality, table in facts.items.items()),
        *((SAID.get(key, key), _number(value)) for key, value in found.items()),
    ]
    console.print(pairs(f"subset {out} of {source.items_folder}", rows), width=min(WIDTH, console.width))
    encoders = {side.modality: [store.folder.name for store in side.stores] for side in source.sides}
    tell(after_selecting(str(out), encoders))
