"""Serve a page, and an interface for programs, that search an index.

    fusemix serve --index FOLDER [--port 7860] [--host 127.0.0.1]

Reads an index and the model that made it; writes nothing. Ends with Ctrl-C.
"""

import logging
import os
import socket

from fusemix.config import ServeConfig
from fusemix.progress import console
from fusemix.web import server
from fusemix.web.hosts import hosts_of, is_local


def main(config: ServeConfig) -> None:
    """Load everything, say where, and serve until interrupted."""
    from fusemix.web.base_path import require_base_path
    from fusemix.web.tokens import token_of

    logging.getLogger("transformers").setLevel(logging.ERROR)
    require_base_path(config.base_path)
    token, is_made = token_of(config.token, is_local(config.host), os.environ)
    with server.bound(config.host, config.port) as listening:
        where = f"{server.address(listening)}{config.base_path}{address_end(token, is_made=is_made)}"
        _serve(config, listening, token, where)


def address_end(token: str | None, *, is_made: bool) -> str:
    """What of the token is printed behind the address: of one that was given, only that there is one."""
    if token is None:
        return ""
    return f"/?token={token if is_made else '...'}"


def warning(host: str) -> str:
    """What nobody who opens a server to others may overlook."""
    line = "!" * 78
    return f"""{line}
WARNING: host is {host}. EVERYBODY who reaches this machine over a network
AND HAS THE TOKEN can search this index and see all of its items, with paths
and captions. Over plain http the token can be read on its way: put a proxy
with TLS in front. For this machine alone, leave --host out.
{line}"""


def _serve(config: ServeConfig, listening: socket.socket, token: str | None, where: str) -> None:
    from fusemix.machine.environment import one_device
    from fusemix.models.queries import Query
    from fusemix.web.app import create_app
    from fusemix.web.batching import Batcher
    from fusemix.web.page import counted
    from fusemix.web.watched import write_access_log
    from fusemix.wiring.searching.searcher import Searcher

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
        app = create_app(
            batcher,
            max_upload_mb=config.max_upload_mb,
            hosts=hosts,
            token=token,
            base_path=config.base_path,
            show_paths=config.show_paths,
            access_log=config.access_log,
        )
        console.print(
            f"searching {counted(searcher.index.counts)} of {config.index}, by {', '.join(searcher.modalities)}"
        )
        if not is_local(config.host):
            console.print(warning(config.host), style="bold red", soft_wrap=True)
        if config.access_log:
            write_access_log()
        server.run(app, listening, lambda: console.print(f"{where}  (Ctrl-C stops it)", soft_wrap=True))
