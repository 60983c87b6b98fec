"""Write a latent set, or a model's embeddings of it, in clip-retrieval's layout.

    fusemix export-embeddings latents=FOLDER encoders.image=[a] encoders.text=[b] out=FOLDER
    fusemix export-embeddings latents=FOLDER model=RUN out=FOLDER

One row a link, unit length, float16. An export that was killed goes on when the same command is given again.
"""

import time
from pathlib import Path

from fusemix.config import EmbeddingsExportConfig
from fusemix.disk.locks import one_writer
from fusemix.progress import console, progress_bar
from fusemix.wiring.caching.export_embeddings import embeddings_export


def main(config: EmbeddingsExportConfig) -> Path:
    """Write all files; returns the folder."""
    with one_writer(config.out, doing="export_embeddings", wait_sec=config.wait_sec):
        return _export(config)


def _export(config: EmbeddingsExportConfig) -> Path:
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
        f"{len(export.writer.spans):,} files a folder ({rate}): {config.out}"
    )
    return Path(config.out)
