"""Recall by the first numbers of embeddings, and by bytes in place of floats: what a smaller index would lose.

Place in the flow: Evaluation, FusionModel -> widths; embeddings cut and rounded -> rows of report.json.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from fusemix.fusion.checkpoints import CHECKPOINTS
from fusemix.fusion.model import FusionModel
from fusemix.fusion.rotation import shortened
from fusemix.models.width import require_width
from fusemix.retrieval.evaluation import Embeddings, plain_figures
from fusemix.search.precision import Precision, as_stored
from fusemix.wiring.evaluation.evaluate import Evaluation

BYTES: dict[Precision, int] = {"float32": 4, "int8": 1}
"""Precision -> bytes a number."""
MOST_SCORES = 10_000_000
"""Of an evaluation whose widths are measured unasked: each takes two more passes over the scores."""
MOST_WIDTHS, LEAST_WIDTH = 5, 16


def widths_of(evaluation: Evaluation, model: FusionModel) -> list[int]:
    """The widths that are measured, the largest first.

    Raises:
        ConfigError: the model has no such width.
    """
    asked = evaluation.config.widths
    if asked is None:
        num_scores = sum(len(fold.left) * len(fold.right) for fold in evaluation.folds)
        return some_widths(model) if num_scores <= MOST_SCORES else []
    file = Path(evaluation.config.model) / CHECKPOINTS / f"{evaluation.config.checkpoint}.ckpt"
    for width in asked:
        require_width(width, model, file)
    return sorted(asked, reverse=True)


def some_widths(model: FusionModel) -> list[int]:
    """All numbers and, where the first ones say most, the largest powers of two below."""
    if model.rotation is None:
        return [model.width]
    powers = [1 << power for power in reversed(range((model.width - 1).bit_length()))]
    return [model.width, *(power for power in powers if power >= LEAST_WIDTH)][:MOST_WIDTHS]


def width_rows(evaluation: Evaluation, embeddings: Embeddings, widths: Sequence[int]) -> list[dict[str, Any]]:
    """Recall at each width, in each precision: `dim`, `precision`, `num_bytes` an item, `metrics`.

    Args:
        evaluation: what is measured.
        embeddings: of all items, on the device that computes.
        widths: from 1 to that of the embeddings.
    """
    rows = []
    for width in widths:
        left, right = (shortened(side, width) for side in embeddings)
        for precision, num_bytes in BYTES.items():
            sides = _rounded(left, precision), _rounded(right, precision)
            figures = plain_figures(sides, evaluation.folds, evaluation.modalities, evaluation.config.ks)
            recalls = {name: value for name, value in figures.items() if "recall" in name}
            rows.append({"dim": width, "precision": precision, "num_bytes": width * num_bytes, "metrics": recalls})
    return rows


def _rounded(side: torch.Tensor, precision: Precision) -> torch.Tensor:
    return torch.from_numpy(as_stored(side.cpu().numpy(), precision)).to(side.device)
