"""Write a latent set: item tables, links and `set.json`, so that encoders can fill it.

Place in the flow: PairSet -> write_set -> a folder -> stores (writer.py); sets.py reads it, and says what is in it.
A set that is to replace another one is written beside it, and takes its place when its stores are whole.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fusemix.disk.discarding import beside, clear_discarded, discard, goal_of, require_free, require_ours, take_place
from fusemix.disk.files import remove_file, write_json, write_jsonl
from fusemix.errors import ConfigError, LatentStoreError
from fusemix.interfaces import PairSet
from fusemix.latents import links as link_file
from fusemix.latents.description import FORMAT, ITEMS_OF, LATENT_SET, SET, SET_STARTED, VERSION, read_ours
from fusemix.latents.item_tables import (
    items_sha256,
    table_problem,
    write_table,
)
from fusemix.latents.links import COUNTED, LINKS, LinkTable
from fusemix.latents.manifest import QUARANTINE, refuse_difference
from fusemix.latents.quarantine import quarantine_problem, quarantine_sha256

NOT_IDENTITY = {"source", "quarantine_sha256"}
"""What may differ without the set being another one."""


def write_set(
    folder: Path,
    pairs: PairSet,
    source: Mapping[str, Any],
    *,
    overwrite: bool = False,
    verify: bool = False,
    hashes: Mapping[str, str] | None = None,
) -> Path:
    """Write tables, links and `set.json`; where the same set is there already, only what it has lost or never had.

    Args:
        folder: of the set.
        pairs: what is written.
        source: plain data that loads the pair set again: name and options of the data set.
        overwrite: replace another set, with its latents, once `replace_set` is called; until then this one lies beside.
        verify: read the tables back, so that one whose content has changed counts as lost.
        hashes: modality -> hash of its table, where they are known.

    Returns:
        Where the set lies, and its stores are to be written: `folder`, or beside it.

    Raises:
        LatentStoreError: the folder holds another set.
        OutputError: it holds files of somebody else.
    """
    if pairs.left.modality == pairs.right.modality:
        raise ConfigError(f"{pairs.dataset}: both sides are {pairs.left.modality}; fusemix aligns two modalities.")
    wanted = _describe(pairs, source, hashes or hashes_of(pairs))
    clear_discarded(folder)
    try:
        _write(folder, pairs, wanted, verify)
        return folder
    except OtherSetError:
        if not overwrite:
            raise
    require_ours(folder, LATENT_SET)
    place = beside(folder)
    try:
        _write(place, pairs, wanted, verify)
    except OtherSetError:  # what another command began there does not count
        discard(place, LATENT_SET)
        _write(place, pairs, wanted, verify)
    return place


def replace_set(place: Path) -> Path:
    """Have a set that is whole now take the place of the one that `write_set` has written it beside, if it has."""
    folder = goal_of(place)
    if place != folder:
        take_place(place, folder, LATENT_SET)
    return folder


class OtherSetError(LatentStoreError):
    """Another set is there."""


def _write(folder: Path, pairs: PairSet, wanted: dict[str, Any], verify: bool) -> None:
    if (folder / SET).is_file():
        recorded = read_ours(folder / SET)
        lacking = {key: wanted[key] for key in COUNTED if key in wanted and COUNTED[0] not in recorded}
        try:
            refuse_difference(folder, _identity(recorded | lacking), _identity(wanted))
        except LatentStoreError as error:
            raise OtherSetError(str(error)) from error
        damaged = damaged_files(folder, recorded, read_back=verify) | dict.fromkeys([LINKS] if lacking else [], "")
        _write_again(folder, pairs, recorded | lacking, damaged)
        return
    require_free(folder, LATENT_SET)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / SET_STARTED, {"format": FORMAT, "version": VERSION})
    tables = [f"items-{items.modality}.parquet" for items in pairs.sides]
    _write_again(folder, pairs, wanted, dict.fromkeys([*tables, LINKS, QUARANTINE], ""))
    remove_file(folder / SET_STARTED)


def _write_again(folder: Path, pairs: PairSet, description: dict[str, Any], names: Mapping[str, str]) -> None:
    """Write some files of a set, and `set.json` after them."""
    for items in pairs.sides:
        if f"items-{items.modality}.parquet" in names:
            write_table(folder / f"items-{items.modality}.parquet", items.table)
    if LINKS in names:
        link_file.write_links(folder / LINKS, LinkTable(pairs.links, pairs.times))
    if QUARANTINE in names:
        write_jsonl(folder / QUARANTINE, (rejected._asdict() for rejected in pairs.excluded))
    if names:
        write_json(folder / SET, {**description, "quarantine_sha256": quarantine_sha256(folder)})


def _identity(description: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in description.items() if key not in NOT_IDENTITY}


def damaged_files(folder: Path, description: Mapping[str, Any], *, read_back: bool) -> dict[str, str]:
    """Files of a set that are not what was sealed, each with what is wrong with it.

    Args:
        folder: of the set.
        description: content of `set.json`.
        read_back: compare their content; otherwise only what takes no longer for millions of items.
    """
    found: dict[str, str | None] = {}
    if ITEMS_OF in description:
        return {name: one for name, one in {LINKS: _links_problem(folder, description, read_back)}.items() if one}
    for about in (description["left"], description["right"]):
        name = f"items-{about['modality']}.parquet"
        found[name] = table_problem(folder / name, about["num_items"], about["sha256"] if read_back else None)
    found[LINKS] = _links_problem(folder, description, read_back)
    sha256 = description.get("quarantine_sha256")
    found[QUARANTINE] = quarantine_problem(folder, description["num_excluded"], sha256)
    return {name: problem for name, problem in found.items() if problem}


def _links_problem(folder: Path, description: Mapping[str, Any], read_back: bool) -> str | None:
    return link_file.links_problem(folder / LINKS, description, read_back=read_back)


def hashes_of(pairs: PairSet) -> dict[str, str]:
    """Modality -> hash of the table of its side."""
    return {items.modality: items_sha256(items.table) for items in pairs.sides}


def _describe(pairs: PairSet, source: Mapping[str, Any], hashes: Mapping[str, str]) -> dict[str, Any]:
    def side(items: Any) -> dict[str, Any]:
        return {"modality": items.modality, "num_items": len(items), "sha256": hashes[items.modality]}

    return {
        "format": FORMAT,
        "version": VERSION,
        "dataset": pairs.dataset,
        "revision": pairs.revision,
        "split": pairs.split,
        "left": side(pairs.left),
        "right": side(pairs.right),
        **link_file.described_links(LinkTable(pairs.links, pairs.times)),
        "num_excluded": len(pairs.excluded),
        "source": dict(source),
    }
