import numpy as np
import pytest
import torch
from torch.nn import functional as F

from fusemix.retrieval import index
from fusemix.retrieval.index import GalleryIndex


def unit(rows: int, dim: int, seed: int = 0) -> np.ndarray:
    return F.normalize(torch.randn(rows, dim, generator=torch.Generator().manual_seed(seed)), dim=1).numpy()


def test_search_agrees_with_sorting_all_scores():
    gallery, queries = unit(200, 16), unit(30, 16, 1)
    scores, found = GalleryIndex(gallery).search(queries, 7)
    expected = torch.topk(torch.from_numpy(queries @ gallery.T), 7)
    np.testing.assert_allclose(scores, expected.values, atol=1e-6)
    assert (found == expected.indices.numpy()).all()


def test_equal_scores_come_in_order_of_position():
    _, found = GalleryIndex(np.ones((6, 4), dtype=np.float32) / 2).search(np.ones((1, 4), dtype=np.float32) / 2, 6)
    assert found.tolist() == [[0, 1, 2, 3, 4, 5]]


def test_what_faiss_would_pass_over_in_silence_is_refused():
    broken = unit(4, 3)
    broken[2, 0] = np.nan
    with pytest.raises(ValueError, match="the gallery is empty, or holds NaN"):
        GalleryIndex(broken)
    with pytest.raises(ValueError, match="the gallery is empty"):
        GalleryIndex(np.empty((0, 3), dtype=np.float32))
    with pytest.raises(ValueError, match="queries are 5 wide, the gallery 3"):
        GalleryIndex(unit(4, 3)).search(unit(2, 5), 1)
    with pytest.raises(ValueError, match="k is 5, but must be from 1 to 4"):
        GalleryIndex(unit(4, 3)).search(unit(2, 3), 5)
    with pytest.raises(ValueError, match="queries hold NaN"):
        GalleryIndex(unit(4, 3)).search(broken, 1)


def test_a_gpu_that_faiss_cannot_use_is_a_reason_not_a_crash(monkeypatch):
    index.gpu_problem.cache_clear()
    monkeypatch.setattr(index, "ONE_SEARCH", "import os; os.abort()")
    assert "ended with code" in index.gpu_problem()
    gallery = unit(5, 3)
    assert GalleryIndex(gallery, use_gpu=True).search(gallery, 1)[1].ravel().tolist() == [0, 1, 2, 3, 4]
    index.gpu_problem.cache_clear()
    monkeypatch.setattr(index, "ONE_SEARCH", "assert False, 'faiss sees no GPU'")
    assert index.gpu_problem() == "faiss sees no GPU"
    index.gpu_problem.cache_clear()
