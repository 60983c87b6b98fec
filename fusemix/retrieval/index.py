"""Search by FAISS: which gallery items stand at the top for each query.

Place in the flow: embeddings -> GalleryIndex -> positions and scores, best first.
This is the only room that knows FAISS; it is imported here alone, when an index is built.
"""

import subprocess
import sys
from functools import cache
from typing import Any

import numpy as np
from jaxtyping import Float, Int64

GPU_K_LIMIT = 2048
ONE_SEARCH = """
import faiss, numpy
assert faiss.get_num_gpus() > 0, "faiss sees no GPU"
index = faiss.index_cpu_to_gpu(faiss.StandardGpuResources(), 0, faiss.IndexFlatIP(4))
index.add(numpy.eye(4, dtype="float32"))
assert index.search(numpy.eye(4, dtype="float32"), 1)[1].ravel().tolist() == [0, 1, 2, 3], "a search went wrong"
"""


class GalleryIndex:
    """Exact search by inner product (of unit vectors: by cosine).

    Args:
        gallery: unit length, float32.
        use_gpu: search on the first GPU, where FAISS works there; else on the CPU.

    Raises:
        ValueError: the gallery is empty or holds NaN, which FAISS would leave out without a word.
    """

    def __init__(self, gallery: Float[np.ndarray, "items dim"], *, use_gpu: bool = False) -> None:
        import faiss

        if len(gallery) == 0 or not np.isfinite(gallery).all():
            raise ValueError("the gallery is empty, or holds NaN or infinity")
        self.num_items, self.dim = gallery.shape
        index: Any = faiss.IndexFlatIP(self.dim)
        if use_gpu and gpu_problem() is None:
            index = faiss.index_cpu_to_gpu(faiss.StandardGpuResources(), 0, index)  # pyright: ignore
            self.most = GPU_K_LIMIT
        else:
            self.most = self.num_items
        index.add(np.ascontiguousarray(gallery, dtype=np.float32))
        self._index = index

    def search(
        self, queries: Float[np.ndarray, "queries dim"], k: int
    ) -> tuple[Float[np.ndarray, "queries k"], Int64[np.ndarray, "queries k"]]:
        """The k best gallery items of each query: scores and positions, best first.

        Equal scores are put in order of position, so that one run equals the next.

        Args:
            queries: unit length, float32.
            k: from 1 to the size of the gallery.

        Raises:
            ValueError: the width differs, k is out of range, or queries hold NaN.
        """
        if queries.shape[1] != self.dim:
            raise ValueError(f"queries are {queries.shape[1]} wide, the gallery {self.dim}")
        if not 1 <= k <= min(self.num_items, self.most):
            raise ValueError(f"k is {k}, but must be from 1 to {min(self.num_items, self.most)}")
        if not np.isfinite(queries).all():
            raise ValueError("queries hold NaN or infinity")
        scores, positions = self._index.search(np.ascontiguousarray(queries, dtype=np.float32), k)
        order = np.lexsort((positions, -scores), axis=1)
        return np.take_along_axis(scores, order, axis=1), np.take_along_axis(positions, order, axis=1)


@cache
def gpu_problem() -> str | None:
    """Why FAISS cannot search on a GPU here, or None where it can.

    One search in a process of its own: with a build that does not fit the GPU, FAISS aborts the process.
    """
    try:
        tried = subprocess.run([sys.executable, "-c", ONE_SEARCH], capture_output=True, text=True, timeout=120)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if tried.returncode == 0:
        return None
    lines = [line.strip() for line in tried.stderr.splitlines() if line.strip()]
    last = lines[-1] if lines else f"the process ended with code {tried.returncode}"
    return last.removeprefix("AssertionError: ")
