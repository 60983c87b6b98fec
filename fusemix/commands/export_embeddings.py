"""Write a latent set, or a model's embeddings of it, in clip-retrieval's layout.

    fusemix export-embeddings latents=FOLDER encoders.image=[a] encoders.text=[b] out=FOLDER
    fusemix export-embeddings latents=FOLDER model=RUN out=FOLDER

One row a link, unit length, float16. An export that was killed goes on when the same command is given again.
"""

import time
from dataclasses import replace
from pathlib import Path

from fusemix.config import EmbeddingsExportConfig
from fusemix.disk.locks import one_writer
from fusemix.latents.embeddings_folder import EXPORT
from fusemix.latents.embeddings_writer import EMBEDDINGS, FORMAT
from fusemix.progress import console, progress_bar
from fusemix.remote.paths import Remote, located
from fusemix.remote.sending import Kind, made_here, require_sendable, send
from fusemix.wiring.caching.export_embeddings import embeddings_export

SENT = Kind(EMBEDDINGS, EXPORT, FORMAT)


def main(config: EmbeddingsExportConfig) -> Path | Remote:
    """Write all files; returns the folder."""
    goal = located(config.out)
    if isinstance(goal, Remote):
        require_sendable(goal, SENT, overwrite=config.overwrite)
        with made_here(goal) as folder:
            _export(replace(config, out=str(folder)), goal)
            send(folder, goal, SENT)
        return goal
    with one_writer(config.out, doing="export_embeddings", wait_sec=config.wait_sec):
        _export(config, goal)
    return goal


def _export(config: EmbeddingsExportConfig, goal: Path | Remote) -> None:
    export = embeddings_export(config)
    missing = export.writer.missing()
    started, written = time.monotonic(), 0
    with progress_bar() as bar:
        task = bar.add_task("export", total=sum(len(export.writer.spans[i]) for i in missing), note="")
        for index in missing:
            num_rows = export.write(index)
            written += num_rows
            bar.advance(task, num_rows)
    export.writer.seal()
    seconds = time.monotonic() - started
    rate = f"{written:,} new in {seconds:.1f} s" if missing else "no new"
    console.print(
        f"exported {export.latent_set.name}: {len(export.latent_set.links):,} rows in "
        f"{len(export.writer.spans):,} files a folder ({rate}): {goal}"
    )
