"""Which files of a folder hold the place of code of ours: a dotted path of a module, or a path of its file."""

import re
from pathlib import Path

import pyarrow.parquet as pq

FORMATS = {
    *("fusemix.latent_set", "fusemix.latent_store", "fusemix.latents.part", "fusemix.tar", "fusemix.embeddings"),
    *("fusemix.run", "fusemix.model", "fusemix.report", "fusemix.zero_shot_report", "fusemix.comparison"),
    *("fusemix.index", "fusemix.index.part", "fusemix.own_code", "fusemix.own_urls", "fusemix.upload"),
    *("fusemix.hubs", "fusemix.generation_report", "fusemix.generated", "fusemix.encoder_ranking"),
}
"""Names of formats, which stay whatever is called so in the package."""
PUBLIC = {"fusemix.load"}
"""What model cards say of the use from Python."""
DOTTED = re.compile(rb"(?<![\w./\\-])fusemix(?:\.\w+)+(?::\w+)?")
OF_A_FILE = re.compile(rb"\bfusemix[/\\][\w/\\]*\w\.py\b")


def module_paths_in(folder: Path) -> dict[str, set[str]]:
    """File, by its path below the folder -> what it holds of such places; files without are left out."""
    found = {str(path.relative_to(folder)): module_paths(path) for path in folder.rglob("*") if path.is_file()}
    return {name: places for name, places in found.items() if places}


def module_paths(path: Path) -> set[str]:
    """What one file holds, compressed columns and the metadata of tables included."""
    content = path.read_bytes()
    if path.suffix == ".parquet":
        table = pq.read_table(path)
        content += repr([table.to_pydict(), table.schema.metadata]).encode()
    places = {match.decode() for pattern in (DOTTED, OF_A_FILE) for match in pattern.findall(content)}
    return places - FORMATS - PUBLIC
