"""The parts of benchmarks/gpu.py: one function each, given a Context, that returns figures as plain data.

`ok` and `failed` come from `context.judged`, and `skipped` says why a part has nothing to look at here.
"""

PARTS: dict[str, tuple[str, float]] = {
    "machine": ("machine:machine", 40),
    "losses": ("exactness:losses", 45),
    "precision": ("exactness:precision", 40),
    "step": ("steps:eager", 45),
    "compiled": ("steps:compiled", 90),
    "parity": ("runs:parity", 45),
    "residence": ("data:residence", 60),
    "nccl": ("processes:nccl", 40),
    "gloo": ("processes:gloo", 50),
    "caching": ("caching:caching", 80),
    "memory": ("caching:out_of_memory", 30),
    "jpeg": ("caching:jpeg", 25),
    "evaluation": ("evaluation:evaluation", 40),
    "faiss": ("evaluation:faiss_gpu", 40),
    "largest": ("steps:largest", 60),
    "activations": ("steps:activations", 45),
    "loop": ("data:loop", 60),
    "breakdown": ("steps:breakdown", 40),
    "resume": ("runs:resume", 45),
    "use": ("use:use", 70),
    "syncs": ("steps:syncs", 30),
    "epoch": ("data:epoch", 30),
    "checkpoint": ("data:checkpoint", 30),
    "validation": ("evaluation:validation", 30),
}
"""Name -> module and function, and seconds that it may take on a GPU; in the order of their importance."""
