"""A side that stays as it is: another one is trained onto it, and joins an index that exists."""

from pathlib import Path

import numpy as np
import torch

from fusemix.cli.called import run_command
from fusemix.fusion.checkpoints import read_checkpoint, trained_model
from fusemix.latents.sets import LatentSet
from fusemix.models.given_latents import GivenLatents
from fusemix.models.trained import open_trained
from fusemix.search.folder import Index
from fusemix.wiring.caching.arrays import write_arrays
from fusemix.wiring.searching.spaces import weights_of


def test_what_is_trained_onto_an_identity_is_compared_with_vectors_of_before(tiny, picture_index, tmp_path):
    index, before = Index(picture_index), open_trained(tiny.run).model
    known = LatentSet(tiny.latents / "pictures" / "all", {"image": ["hog", "vit"], "text": ["bert"]})
    pictures, texts = (side.take(np.arange(len(side))).astype(np.float32) for side in known.sides)
    with torch.inference_mode():
        vectors = before.embed("image", torch.from_numpy(pictures)).numpy()
    sides = {"image": GivenLatents("images", vectors), "text": GivenLatents("texts", texts)}
    train = write_arrays(tmp_path / "train", sides, np.asarray(known.links))
    best = run_command(
        "train",
        [
            *(f"train={train}", "holdout=0.2", "encoders={image: [given], text: [given]}", f"out={tmp_path / 'run'}"),
            *("embedding_dim=auto", "adapter=linear", "adapters.image=identity", "mixup=none", "compute=cpu"),
            "optim={batch_size: 8, max_epochs: 2, warmup_steps: 1}",
        ],
    )
    model = trained_model(read_checkpoint(best))
    with torch.inference_mode():
        queries = model.embed("text", torch.from_numpy(texts[:5]))
        wanted = (queries @ model.embed("image", torch.from_numpy(vectors)).T).numpy()
    of_no_modality = weights_of([None] * len(queries), index.description)
    found = index.search(np.concatenate([queries.numpy(), of_no_modality], axis=1), index.num_items)
    names = [item["id"] for item in index.items(range(index.num_items))]
    rows = {Path(name).name: row for row, name in enumerate(known.left.table["id"].to_pylist())}
    order = np.array([rows[Path(name).name] for name in names])
    np.testing.assert_allclose(index.vectors(range(index.num_items)), vectors[order], atol=2e-3)
    for query, (scores, positions) in enumerate(zip(found.scores, found.positions, strict=True)):
        np.testing.assert_allclose(scores, wanted[query, order[positions]], atol=2e-3)
