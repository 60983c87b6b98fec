"""Hand an index to another engine.

    fusemix export-index --index FOLDER --to parquet --out FOLDER
    fusemix export-index --index FOLDER --to qdrant --out http://localhost:6333

Reads the index alone; queries for the other engine are what `fusemix.load(…).encode` gives.
"""

from pathlib import Path

from fusemix.config import IndexExportConfig
from fusemix.disk.discarding import Owned, replacing, require_ours, says
from fusemix.disk.locks import one_writer
from fusemix.errors import ConfigError, FusemixError, OutputError, first_line
from fusemix.progress import console, counting
from fusemix.search.folder import Index
from fusemix.search.handing_over import FORMAT, SEAL, VERSION, qdrant, write_parquet, write_points
from fusemix.urls import without_secrets


def is_export(folder: Path) -> bool:
    """Whether a folder holds an index for others."""
    return says(folder / SEAL, FORMAT, VERSION)


OWNED = Owned("an index for other engines", is_export, (SEAL, "part-*.parquet"))


def main(config: IndexExportConfig) -> None:
    """Write it."""
    if config.to == "parquet":
        _to_parquet(config, Path(config.out))
    else:
        _to_qdrant(config, Index(config.index))


def _to_parquet(config: IndexExportConfig, out: Path) -> None:
    if "://" in config.out:
        raise ConfigError("out of to=parquet must be a folder of this machine.")
    with one_writer(out, doing="export_index", wait_sec=config.wait_sec):
        index = Index(config.index)
        if config.overwrite and is_export(out):
            require_ours(out, OWNED)
        elif out.exists() and any(out.iterdir()):
            raise OutputError(f"{out} holds something already. Choose another out, or give --overwrite.")
        with replacing(out, OWNED) as place, counting("items written", index.num_items) as advance:
            write_parquet(index, place, advance)
    console.print(f"{index.num_items:,} items of {config.index} in {out}: {SEAL} says what they are")


def _to_qdrant(config: IndexExportConfig, index: Index) -> None:
    collection, shown = config.collection or index.folder.resolve().name, without_secrets(config.out)
    client = qdrant(config.out)
    try:
        with counting("items written", index.num_items) as advance:
            write_points(index, client, collection, advance, overwrite=config.overwrite)
    except FusemixError:
        raise
    except Exception as error:  # whatever the client makes of a server that is not there, or says no
        raise OutputError(f"{shown} does not take the items: {first_line(error)}") from error
    finally:
        client.close()
    console.print(f"{index.num_items:,} items of {config.index} in the collection {collection!r} of {shown}")
