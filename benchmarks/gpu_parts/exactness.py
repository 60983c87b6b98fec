"""Is it right? Losses against float64 with all logits at once, and what precision=32-true computes in."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from gpu_parts.context import Context, judged, relative

LEVELS = (3.0, 0.1, 1e-4)
"""Losses at which a run begins, has learned, and has learned by heart."""
SCALES = (5.0, 15.0, 25.0)
"""Of the sigmoid loss, whose bias keeps it from falling so low."""
IN_FLOAT32, IN_TF32 = 1e-4, 0.05
"""Largest error, by the norm, of a value or a gradient. TF32 rounds cosines to 11 bits."""
ROUNDING = 2.0
"""Where float32 itself cannot do better, all logits at once in float32 are the yardstick, times this."""
Loss = Callable[[Tensor, Tensor, Tensor], Tensor]


def losses(context: Context) -> dict[str, Any]:
    """Each loss at three levels, in float32 and under TF32, with one and with three positives, in odd sizes."""
    from fusemix.fusion.losses import LOSSES, tiles

    torch.manual_seed(0)
    rows, width = (97, 16) if context.tiny else (3_001, 512)
    tiles.TILE[context.device.type] = rows // 3
    found: dict[str, Any] = {}
    claims: dict[str, bool] = {}
    for name in LOSSES.names():
        for positives in (1, 3):
            left, right = pairs_of(rows, width, positives, context.device)
            for scale in SCALES if name == "sigmoid" else scales_at(LEVELS, left, right):
                inputs = [left, right, torch.tensor(scale, device=context.device)]
                wanted = gradients(lambda *given, name=name: dense(name, *given), inputs, torch.float64)
                for precision, most in (("highest", IN_FLOAT32), ("high", IN_TF32)):
                    torch.set_float32_matmul_precision(precision)
                    ours = LOSSES.build(name, {})
                    assert isinstance(ours, torch.nn.Module), "every loss is one"
                    got = gradients(ours.to(context.device), inputs, torch.float32)
                    plain = gradients(lambda *given, name=name: dense(name, *given), inputs, torch.float32)
                    errors = {k: relative(got[k], wanted[k]) for k in wanted}
                    theirs = {k: relative(plain[k], wanted[k]) for k in wanted}
                    key = f"{name}, {positives} positives, loss {float(wanted['value']):.2g}, {precision}"
                    found[key] = {k: f"{errors[k]:.1e} ({theirs[k]:.1e})" for k in wanted}
                    claims[key] = all(errors[k] < max(most, ROUNDING * theirs[k]) for k in wanted)
    torch.set_float32_matmul_precision("highest")
    found["structure"] = structure_error(context, rows, width)
    return judged(found, {**claims, "structure": found["structure"] < IN_FLOAT32})


def dense(name: str, left: Tensor, right: Tensor, scale: Tensor) -> Tensor:
    """The loss by PyTorch's own functions, with all logits at once."""
    logits, own = scale * left @ right.T, torch.arange(len(left), device=left.device)
    blocks = len(right) // len(left)
    if name == "sigmoid":
        belongs = torch.eye(len(left), dtype=left.dtype, device=left.device).repeat(1, blocks)
        return F.binary_cross_entropy_with_logits(logits - 10.0, belongs, reduction="sum") / len(left)
    rows = sum(F.cross_entropy(logits, own + block * len(left)) for block in range(blocks)) / blocks
    return (rows + F.cross_entropy(logits.T, own.repeat(blocks))) / 2


def pairs_of(rows: int, width: int, positives: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Embeddings of unit length, each right one near its left one."""
    left = F.normalize(torch.randn(rows, width, device=device), dim=1)
    right = left.repeat(positives, 1) + 0.3 * torch.randn(positives * rows, width, device=device) / width**0.5
    return left, F.normalize(right, dim=1)


def scales_at(levels: Sequence[float], left: Tensor, right: Tensor) -> Iterator[float]:
    """The scales at which InfoNCE has these values in float64: the larger, the lower."""
    for level in levels:
        low, high = 0.0, 200.0
        for _ in range(12):
            scale = (low + high) / 2
            tried = torch.tensor(scale, dtype=torch.float64, device=left.device)
            loss = float(dense("info_nce", left.double(), right.double(), tried))
            low, high = (scale, high) if loss > level else (low, scale)
        yield high


def gradients(loss: Loss, given: list[Tensor], dtype: torch.dtype) -> dict[str, Tensor]:
    """The value, and its gradients by both sides and by the scale."""
    inputs = [one.detach().to(dtype).requires_grad_() for one in given]
    value = loss(*inputs)
    return dict(
        zip(("value", "left", "right", "scale"), (value.detach(), *torch.autograd.grad(value, inputs)), strict=True)
    )


def structure_error(context: Context, rows: int, width: int) -> float:
    """Of the structure regulariser, against its formula in float64."""
    from fusemix.fusion.losses.structure import structure_divergence

    latents = torch.randn(rows, 40, device=context.device)
    embeddings = F.normalize(torch.randn(rows, width, device=context.device), dim=1)
    sides = [F.normalize(side.double(), dim=1) for side in (latents, embeddings)]
    p, q = (torch.softmax(side @ side.T / 0.05, dim=1) for side in sides)
    middle = (p + q) / 2
    wanted = (torch.xlogy(p, p / middle) + torch.xlogy(q, q / middle)).sum() / 2 / rows
    return relative(structure_divergence(latents, embeddings, 0.05), wanted)


def precision(context: Context) -> dict[str, Any]:
    """What a product of float32 numbers is computed in under each precision, as a Trainer of ours leaves things."""
    from gpu_parts.material import built, config_of

    found: dict[str, float] = {}
    torch.manual_seed(0)
    one, other = (torch.randn(512, 512, device=context.device) for _ in range(2))
    wanted = one.double() @ other.double()
    for name in ("32-true", "bf16-mixed"):
        torch.set_float32_matmul_precision("highest")
        built(dataclasses.replace(config_of(context), precision=name))
        found[name] = relative(one @ other, wanted)
    return judged({"error_of_a_product": found}, {"precision=32-true is float32, not TF32": found["32-true"] < 1e-5})
