"""Write a trained model as a folder that travels.

    fusemix export model=RUN out=FOLDER [reports=[REPORT]] [onnx=true] [sentence_transformers=true] [push_to=ORG/NAME]

The folder holds model.safetensors, config.json, a model card, and the encoders that lie in folders of this machine. It
loads on any machine by path or by its name on the hub: fusemix.load("FOLDER").
"""

from pathlib import Path

from fusemix.config import ExportConfig
from fusemix.disk.discarding import replacing
from fusemix.disk.locks import one_writer
from fusemix.models.folder import EXPORT, INSIDE, folder_bytes
from fusemix.models.hub import push
from fusemix.progress import console, counting
from fusemix.wiring.exporting.export import Export, export_of, num_steps, write, write_card

MOST_NAMED = 20
"""Files that stay behind; the others are counted."""


def main(config: ExportConfig) -> Path:
    """Export, check, and push where asked to; returns the folder."""
    with one_writer(config.out, doing="export", wait_sec=config.wait_sec):
        return _export(config)


def _export(config: ExportConfig) -> Path:
    export, out = export_of(config), Path(config.out)
    with replacing(out, EXPORT) as folder, counting("export", num_steps(export)) as advance:
        write(export, folder, advance)
        write_card(export, folder)
    for name in export.without_encoders:
        console.print(
            f"nothing says what builds the encoder of {name}: who loads the model must give it by hand, or name it "
            f"now with encoders={{{name}: {{name: …, options: {{…}}}}}}"
        )
    _say_what_stays(export)
    if config.push_to:
        _say_what_goes(out, config.push_to)
        _warn_of_others(out)
        console.print(f"pushed to {push(out, config.push_to, private=config.private)}")
    size = f"{folder_bytes(out) / 1e6:,.1f} MB"
    console.print(f'exported {export.name}: {size} in {out}; load it with fusemix.load("{config.push_to or out}")')
    return out


def _say_what_stays(export: Export) -> None:
    """Name what lay beside the files of an encoder, and was not copied."""
    for place, parcel in export.copies.items():
        if parcel.left:
            more = len(parcel.left) - MOST_NAMED
            names = ", ".join(parcel.left[:MOST_NAMED]) + (f" and {more:,} more" if more > 0 else "")
            console.print(f"left out of {place}, since nothing is built from it: {names}")


def _say_what_goes(out: Path, name: str) -> None:
    """List all that is about to be published."""
    files = sorted(path for path in out.rglob("*") if path.is_file())
    console.print(f"uploading to {name}: {len(files):,} files, {folder_bytes(out) / 1e6:,.1f} MB")
    for path in files:
        console.print(f"  {path.stat().st_size:>14,} bytes  {path.relative_to(out)}")


def _warn_of_others(out: Path) -> None:
    """Say whose weights are about to be published."""
    for folder in sorted((out / INSIDE).glob("*")):
        console.print(
            f"uploading {folder_bytes(folder) / 1e6:,.1f} MB of {folder.name}, an encoder that somebody else trained: "
            "its licence must allow that"
        )
