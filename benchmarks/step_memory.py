"""How much memory a training step takes, with its activations held and with them computed a second time.

    python benchmarks/step_memory.py [--pairs 262144] [--json figures.json]

The paper's adapters (latents of 1,536 and 1,024, four blocks, embeddings of 512) in bf16-mixed, with FuseMix and
InfoNCE, forwards and backwards, on tensors that have shapes and no numbers (PyTorch's FakeTensorMode), so that no such
memory is needed. Bytes are counted where tensors are made and let go of; what operations take within themselves, and
what an allocator loses between blocks, is not seen. Dropout keeps the byte a number that it keeps on a GPU, and logits
come in a GPU's tiles. Beside it stands what a run estimates at its start.
"""

import argparse
import sys
from pathlib import Path

import torch
from live_memory import LiveMemory
from torch._subclasses.fake_tensor import FakeTensorMode

from fusemix.fusion.adapters.dropout import Dropout
from fusemix.fusion.losses import tiles
from fusemix.fusion.losses.info_nce import InfoNCE
from fusemix.fusion.mixup.variants import halves, mix_pairs
from fusemix.fusion.model import FusionModel
from fusemix.fusion.step_memory import UNDERWAY, Held, SideOfStep, StepSizes, held_by, step_bytes
from fusemix.interfaces import LatentBatch

WIDTHS, EMBEDDING_DIM = {"image": 1536, "text": 1024}, 512
CPU = torch.device("cpu")


def as_on_a_gpu() -> None:
    """Let a CPU keep what a GPU keeps."""
    tiles.TILE["cpu"] = tiles.TILE["cuda"]

    def drop(self: Dropout, values: torch.Tensor) -> torch.Tensor:
        return torch.native_dropout(values, self.rate, True)[0] if self.training and self.rate else values

    Dropout.forward = drop


def counted(pairs: int, again: bool) -> dict[str, int]:
    """Activations after the pass forwards, and the most memory of the step, its weights and batches among it."""
    with FakeTensorMode(allow_non_fake_inputs=True):
        model = model_of()
        model.recompute = again
        left, right = (torch.empty(2 * pairs, width, dtype=torch.float16) for width in WIDTHS.values())
        with LiveMemory() as live, torch.autocast("cpu", dtype=torch.bfloat16):
            prepared = LatentBatch(model.prepare("image", left), model.prepare("text", right))
            mixed = mix_pairs(*halves(prepared), weight=0.5)
            del prepared
            before = live.now
            one, other = model.adapt("image", mixed.left), model.adapt("text", mixed.right)
            activations = live.now - before
            loss = InfoNCE()(one, other, model.logit_scale)
        with live:
            loss.backward()
        weights = sum(weight.nbytes for weight in model.parameters())
        # Beside the weights the optimiser's two means, there from the second step on; gradients are counted already.
        lasting = 3 * weights + UNDERWAY * (left.nbytes + right.nbytes)
        return {"activations": activations, "peak": live.peak + lasting}


def estimated(pairs: int, again: bool, held: dict[str, Held]) -> int:
    """The same peak as a run estimates it."""
    sides = [SideOfStep(pairs, width, held[modality], True) for modality, width in WIDTHS.items()]
    weights = sum(weight.numel() for weight in model_of().parameters())
    sizes = StepSizes(sides, parts=2, loaded=2, embedding_dim=EMBEDDING_DIM, weights=weights, tile=tiles.TILE["cuda"])
    return step_bytes(sizes, again=again) + 4 * weights


def model_of() -> FusionModel:
    return FusionModel(
        dims={modality: [width] for modality, width in WIDTHS.items()},
        embedding_dim=EMBEDDING_DIM,
        adapters=dict.fromkeys(WIDTHS, ("residual_mlp", {})),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, nargs="+", default=[20_480, 262_144], help="of a step, mixed")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    arguments = parser.parse_args()
    as_on_a_gpu()
    model = model_of()
    held = {m: held_by(model.adapters[m], width, CPU, torch.bfloat16) for m, width in WIDTHS.items()}
    figures = []
    for pairs in arguments.pairs:
        for again in (False, True):
            print(f"{pairs:,} pairs, {'computed a second time' if again else 'held'} …", file=sys.stderr)
            found = counted(pairs, again)
            figures.append({"pairs": pairs, "again": again, **found, "estimated": estimated(pairs, again, held)})
    print("\n| pairs a step | activations | held after the pass, GB | peak, GB | estimated, GB |")
    print("|--:|---|--:|--:|--:|")
    for row in figures:
        how = "computed a second time" if row["again"] else "held"
        numbers = " | ".join(f"{row[key] / 1e9:,.1f}" for key in ("activations", "peak", "estimated"))
        print(f"| {row['pairs']:,} | {how} | {numbers} |")
    if arguments.json:
        from fusemix.disk.files import write_json

        write_json(arguments.json, figures)


if __name__ == "__main__":
    main()
