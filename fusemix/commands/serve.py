"""Serve a page, and an interface for programs, that search an index.

    fusemix serve --index FOLDER [--port 7860] [--host 127.0.0.1]

Reads an index and the model that made it; writes nothing. Ends with Ctrl-C.
"""

import logging
import socket

from fusemix.config import ServeConfig
from fusemix.progress import console
from fusemix.web import server
from fusemix.web.hosts import LOCAL, hosts_of


def main(config: ServeConfig) -> None:
    """Load everything, say where, and serve until interrupted."""
    logging.getLogger("transformers").setLevel(logging.ERROR)
    with server.bound(config.host, config.port) as listening:
        _serve(config, listening)


def warning(host: str) -> str:
    """What nobody who opens a server to others may overlook."""
    line = "!" * 78
    return f"""{line}
WARNING: host is {host}. EVERYBODY who reaches this machine over a network
can search this index and see all of its items, with paths and captions.
THERE IS NO PASSWORD. For this machine alone, leave --host out.
{line}"""


def _serve(config: ServeConfig, listening: socket.socket) -> None:
    from fusemix.machine.environment import one_device
    from fusemix.web.app import create_app
    from fusemix.web.batching import Batcher
    from fusemix.web.page import counted
    from fusemix.wiring.searching.searcher import Query, Searcher

    device = one_device(config.compute.accelerator, config.compute.devices)
    how = {"trust_code": config.trust_code, "hub_correction": config.hub_correction}
    searcher = Searcher(config.index, config.model, device, **how)
    for why in searcher.unseen:
        console.print(why, style="yellow")
    searcher.load()
    if "text" in searcher.modalities:
        searcher.embed([Query("text", "a first query takes longer than the next")])
    with Batcher(searcher) as batcher:
        hosts = hosts_of(config.host, config.allowed_hosts)
        app = create_app(batcher, max_upload_mb=config.max_upload_mb, hosts=hosts, show_paths=config.show_paths)
        console.print(
            f"searching {counted(searcher.index.counts)} of {config.index}, by {', '.join(searcher.modalities)}"
        )
        if config.host not in LOCAL:
            console.print(warning(config.host), style="bold red", soft_wrap=True)
        server.run(app, listening, lambda: console.print(f"{server.address(listening)}  (Ctrl-C stops it)"))
