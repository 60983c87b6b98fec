"""Several processes: NCCL with one, and two on one device over gloo, which give what one gives."""

from pathlib import Path
from typing import Any

import torch
import torch.cuda.nccl
import torch.distributed as dist
from torch import Tensor, nn
from torch.multiprocessing.spawn import start_processes
from torch.nn import functional as F

from gpu_parts.context import Context, judged, relative

STEPS, ROWS = 10, 12
SAME = 1e-6


class Towers(nn.Module):
    """Two linear maps, a temperature, a loss, and the structure regulariser."""

    def __init__(self, name: str) -> None:
        super().__init__()
        from fusemix.fusion.losses import LOSSES

        self.left, self.right = nn.Linear(20, 16), nn.Linear(24, 16)
        self.log_scale = nn.Parameter(torch.tensor(2.0))
        self.loss: Any = LOSSES.build(name, {})

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        from fusemix.fusion.losses.structure import structure_divergence

        one, other = F.normalize(self.left(left), dim=1), F.normalize(self.right(right), dim=1)
        loss = self.loss(one, other, self.log_scale.exp())
        return loss + structure_divergence(left, one, 0.1) + structure_divergence(right, other, 0.1)


def trained(rank: int, size: int, device: torch.device) -> dict[str, list[Tensor]]:
    """Weights after some steps on this process's share of each batch, for every loss; with two positives an item."""
    from fusemix.fusion.losses import LOSSES

    found = {}
    for name in LOSSES.names():
        torch.manual_seed(0)
        towers = Towers(name).to(device).double()
        model = nn.parallel.DistributedDataParallel(towers) if dist.is_initialized() else towers
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
        for step in range(STEPS):
            generator = torch.Generator().manual_seed(step)
            left = torch.randn(ROWS, 20, generator=generator).double()
            right = torch.randn(2, ROWS, 24, generator=generator).double()
            own = slice(rank * ROWS // size, (rank + 1) * ROWS // size)
            loss = model(left[own].to(device), right[:, own].reshape(-1, 24).to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        found[name] = [parameter.detach().cpu() for parameter in towers.parameters()]
    return found


def worker(rank: int, folder: str, on_gpu: bool) -> None:
    """One of two processes."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    torch.save(trained(rank, 2, torch.device("cuda" if on_gpu else "cpu")), Path(folder) / f"{rank}.pt")
    dist.destroy_process_group()


def differences(there: dict[str, list[Tensor]], here: dict[str, list[Tensor]]) -> dict[str, float]:
    return {name: max(map(relative, there[name], weights)) for name, weights in here.items()}


def gloo(context: Context) -> dict[str, Any]:
    """Two processes that share each batch on one device, beside one process with all of it, in float64."""
    folder = context.folder / "gloo"
    folder.mkdir()
    # Forked before this process has woken the device; a spawned one would import everything again.
    start_processes(worker, (str(folder), context.on_gpu), nprocs=2, start_method="fork")
    found = differences(torch.load(folder / "1.pt", weights_only=True), trained(0, 1, context.device))
    return judged(found, {f"{name}: two processes give what one gives": found[name] < SAME for name in found})


def nccl(context: Context) -> dict[str, Any]:
    """The collectives of training over NCCL, and DDP, in a group of one process."""
    if not context.on_gpu:
        return {"skipped": "needs a GPU"}
    from fusemix.fusion.gathering import _Gathered

    folder = context.folder / "nccl"
    folder.mkdir()
    alone = trained(0, 1, context.device)
    torch.cuda.set_device(0)
    dist.init_process_group("nccl", init_method=f"file://{folder}/meeting", rank=0, world_size=1)
    rows = torch.randn(7, 5, device="cuda", requires_grad=True)
    gathered: Any = _Gathered.apply(rows)
    gathered.square().sum().backward()
    assert rows.grad is not None, "it was gathered with gradient"
    found = differences(trained(0, 1, context.device), alone)
    claims = {f"{name}: DDP gives what one process gives": found[name] < SAME for name in found}
    claims["gathered rows are the rows"] = torch.equal(gathered, rows)
    claims["their gradient comes back"] = torch.allclose(rows.grad, 2 * rows)
    dist.destroy_process_group()
    return judged({"version": ".".join(map(str, torch.cuda.nccl.version())), **found}, claims)
