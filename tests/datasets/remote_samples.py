"""Small folders with captions and tars, and what data sets make of them wherever they lie."""

import io
import tarfile
from pathlib import Path

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from fusemix.datasets import DATASETS


def png(number: int) -> bytes:
    pixels = np.random.default_rng(number).integers(0, 256, (6, 7, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def photos(folder: Path, count: int = 6) -> Path:
    """Pictures in two folders, one of them with a name that systems write in two ways, and their captions."""
    lines = ["file,caption"]
    for number in range(count):
        name = f"{'sub/' if number % 2 else ''}b\u00fccher-{number}.png"
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(png(number))
        lines.append(f"{name},picture number {number}")
    (folder / "captions.csv").write_text("\n".join([*lines, "gone.png,it is not there"]), encoding="utf-8")
    return folder


def to_memory(folder: Path, url: str) -> None:
    system = fsspec.filesystem("memory")
    for path in folder.rglob("*"):
        if path.is_file():
            system.pipe_file(f"{url.removeprefix('memory:/')}/{path.relative_to(folder).as_posix()}", path.read_bytes())


def captioned(folder: str, split: str = "all", **options):
    options = {"folder": folder, "captions": f"{folder}/captions.csv", **options}
    return DATASETS.build("image_captions", options, split=split)


def same(one, other) -> None:
    """Two pair sets are alike, but for where their files lie."""
    for mine, theirs in zip(one.sides, other.sides, strict=True):
        columns = [name for name in mine.table.column_names if name not in ("path", "mtime_ns")]
        assert mine.table.select(columns).equals(theirs.table.select(columns))
        assert [mine.read(row) for row in range(len(mine))] == [theirs.read(row) for row in range(len(theirs))]
    np.testing.assert_array_equal(one.links, other.links)
    assert one.revision == other.revision
    assert [item.id for item in one.excluded] == [item.id for item in other.excluded]


def shards(folder: Path, count: int = 3) -> Path:
    folder.mkdir(parents=True)
    for shard in range(count):
        with tarfile.open(folder / f"{shard:05}.tar", "w") as tar:
            for number in range(shard * 10, shard * 10 + 4):
                for ending, content in (("png", png(number)), ("txt", f"caption {number}".encode())):
                    member = tarfile.TarInfo(f"{number:09}.{ending}")
                    member.size = len(content)
                    tar.addfile(member, io.BytesIO(content))
    failed = {"key": ["000000009"], "status": ["failed_to_download"], "error_message": ["404"]}
    pq.write_table(pa.table(failed), folder / "00000.parquet")
    return folder


def tars(folder: str, split: str = "all", **options):
    return DATASETS.build("webdataset", {"folder": folder, **options}, split=split)
