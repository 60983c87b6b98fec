"""How a caching run is called, and what it leaves."""

import os
from pathlib import Path

from fusemix.cli.called import run_command

OWN_ENCODERS = """
import os, time
import numpy as np, torch

class Pixels:
    modality, sample_rate = "image", None
    def __init__(self, side):
        self.side, self.dim = side, 3 * side * side
        self.fingerprint = {"family": "pixels", "side": side}
    def to(self, device): return self
    def prepare(self, contents):
        return [np.asarray(p.resize((self.side, self.side)), dtype=np.float32).ravel() for p in contents]
    def length(self, prepared): return 1
    def collate(self, prepared): return torch.from_numpy(np.stack(prepared))
    def encode(self, batch):
        time.sleep(float(os.environ.get("SECONDS_A_BATCH", 0)))  # no option: a store notes these
        return batch / 255

class Letters:
    modality, sample_rate, dim, fingerprint = "text", None, 26, {"family": "letters"}
    def to(self, device): return self
    def prepare(self, contents): return [[float(text.count(chr(97 + i))) for i in range(26)] for text in contents]
    def length(self, prepared): return int(sum(prepared))
    def collate(self, prepared): return torch.tensor(prepared)
    def encode(self, batch): return batch

def pixels(*, side=4): return Pixels(side)
def letters(): return Letters()
"""


def settings(world: Path, out: Path, *changes: str) -> list[str]:
    return [
        "dataset.name=image_captions",
        f"dataset.options.folder={world / 'pictures'}",
        f"dataset.options.captions={world / 'captions.csv'}",
        "splits=[all]",
        "encoders.small.name=own:pixels",
        "encoders.large={name: 'own:pixels', options: {side: 6}}",
        "encoders.letters.name=own:letters",
        "compute.accelerator=cpu",
        "shard_size=7",
        "batch_size=3",
        "num_workers=0",
        f"out={out}",
        *changes,
    ]


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def in_a_child(arguments: list[str]) -> int:
    """Start caching in a process of its own, which a signal can end at any line; returns its id."""
    child = os.fork()
    if child == 0:
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 1)
        os.dup2(silence, 2)
        try:
            run_command("cache_features", arguments)
        finally:
            os._exit(0)
    return child
