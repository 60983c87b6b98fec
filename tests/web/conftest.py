"""An index of pictures, sounds and texts, its Searcher, a real server, and a browser."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from serving import BASE, NAME, TOKEN, UPLOAD_MB, Server, running
from tiny_run import TinyRun
from workers import made_once

from fusemix.cli.called import run_command
from fusemix.web.app import create_app
from fusemix.web.batching import Batcher
from fusemix.web.hosts import LOCAL
from fusemix.wiring.searching.searcher import Searcher


@pytest.fixture(scope="session")
def indexed(tiny: TinyRun, session_folder: Path) -> Path:
    """36 pictures, then 24 sounds, then 24 texts."""
    return made_once(session_folder / "index", lambda out: index_all(tiny, out))


def index_all(tiny: TinyRun, out: Path) -> None:
    common = ["--model", str(tiny.run), "--out", str(out), "--compute.accelerator", "cpu", "--num-workers", "0"]
    run_command("index", [*common, "--latents", str(tiny.latents / "pictures" / "all")])
    run_command("index", [*common, "--latents", str(tiny.latents / "sounds" / "all")])
    run_command("index", [*common, "--latents", str(tiny.latents / "sounds" / "all"), "--modality", "text"])


@pytest.fixture(scope="session")
def searcher(indexed: Path) -> Searcher:
    found = Searcher(indexed, device="cpu")
    found.load()
    return found


@pytest.fixture(scope="session")
def server(searcher: Searcher) -> Iterator[Server]:
    with Batcher(searcher) as batcher, running(create_app(batcher, max_upload_mb=UPLOAD_MB, hosts=LOCAL)) as found:
        yield found


@pytest.fixture(scope="session")
def locked(searcher: Searcher) -> Iterator[Server]:
    """A server as it stands behind a proxy: with a token, a name of its own, and below a path."""
    how = {"max_upload_mb": UPLOAD_MB, "hosts": (*LOCAL, NAME), "token": TOKEN, "base_path": BASE}
    with Batcher(searcher) as batcher, running(create_app(batcher, **how)) as found:
        yield found


@pytest.fixture
def visit(browser, server, tmp_path):
    """Opens the page; afterwards nothing may have been asked of another server, and nothing been complained of."""
    complaints, expected, asked, contexts = [], [], [], []

    def open_page(path="/", url=server.url, **options):
        context = browser.new_context(**options)
        contexts.append(context)
        tab = context.new_page()
        tab.on("console", lambda message: complaints.append(message.text))
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.on("dialog", lambda dialog: complaints.append(f"dialog {dialog.message}"))
        tab.on("request", lambda request: asked.append(request.url))
        tab.goto(url + path)
        return tab

    open_page.complaints, open_page.expected = complaints, expected
    yield open_page
    for place, context in enumerate(contexts):
        context.pages[0].screenshot(path=tmp_path / f"page-{place}.png")
        context.close()
    assert [text for text in complaints if not text.startswith(tuple(expected) or "\0")] == []
    assert {re.sub(r":\d+$", "", url.split("/")[2]) for url in asked if not url.startswith("blob:")} == {"127.0.0.1"}
