"""Items in memory, an encoder of one's own, and running the one over the other."""

import io
from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import soundfile
import torch

from fusemix.encoders.extract import extract
from fusemix.encoders.reading import Task
from fusemix.interfaces import Items

SENTENCE = "a dog runs over the green grass while two small children laugh and throw red balls"


@dataclass(frozen=True)
class Stored:
    """Reads raw items from memory; an exception in the list is raised."""

    raws: list

    def __call__(self, row):
        if isinstance(self.raws[row], Exception):
            raise self.raws[row]
        return self.raws[row]


@dataclass
class Letters:
    """An encoder of one's own: number of characters and of words. Notes the batches it was given."""

    modality = "text"
    dim = 2
    sample_rate = None
    batches: list = field(default_factory=list)
    fingerprint: dict = field(default_factory=dict)

    def to(self, device):
        return self

    def prepare(self, contents):
        return list(contents)

    def length(self, prepared):
        return len(prepared)

    def collate(self, prepared):
        return list(prepared)

    def encode(self, batch):
        self.batches.append(list(batch))
        return torch.tensor([[float(len(text)), float(len(text.split()))] for text in batch])


class Small(Letters):
    """Takes three items at once, and no more."""

    def encode(self, batch):
        if len(batch) > 3:
            self.batches.append(f"{len(batch)} were too many")
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")
        return super().encode(batch)


def items_of(modality, raws):
    return Items(modality, pa.table({"id": [f"item-{i}" for i in range(len(raws))]}), Stored(raws))


def run_all(items, encoders, spans=None, *, batch_size=4, num_workers=0, wanted=None, seconds=None):
    """Encode with several encoders; returns for each span what each of them gave."""
    counted = []
    spans = spans or [range(len(items))]
    tasks = [Task(span, names) for span, names in zip(spans, wanted or [tuple(encoders)] * len(spans), strict=True)]
    given = list(
        extract(
            items,
            encoders,
            tasks,
            batch_sizes=dict.fromkeys(encoders, batch_size),
            num_workers=num_workers,
            device=torch.device("cpu"),
            advance=lambda count, rejected: counted.append((count, len(rejected))),
            seconds=defaultdict(float) if seconds is None else seconds,
        )
    )
    assert [(one.task, one.is_last) for one in given] == [(number, True) for number in range(len(spans))]
    extracted = [one.of for one in given]
    assert [part.latents.shape[0] for of in extracted for part in list(of.values())[:1]] == [len(s) for s in spans]
    assert sum(count for count, _ in counted) == sum(len(span) for span in spans)
    assert sum(bad for _, bad in counted) == sum(len(part.rejected) for of in extracted for part in of.values())
    return extracted


def run(items, encoder, spans=None, **options):
    return [of["only"] for of in run_all(items, {"only": encoder}, spans, **options)]


def texts_of_all_lengths(count):
    generator, words = np.random.default_rng(0), SENTENCE.split()
    return [" ".join(generator.choice(words, generator.integers(1, 16))) for _ in range(count)]


def sound_bytes(seconds, rate=16000, seed=0):
    samples = np.random.default_rng(seed).standard_normal(int(seconds * rate)) * 0.1
    file = io.BytesIO()
    soundfile.write(file, samples.astype(np.float32), rate, format="WAV", subtype="FLOAT")
    return file.getvalue()
