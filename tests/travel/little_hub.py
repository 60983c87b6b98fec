"""A hub for one model in memory: as many of its endpoints as pushing and fetching ask."""

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

NAME, TOKEN = "somebody/tiny", "hf_letmein"
COMMIT = hashlib.sha1(b"first").hexdigest()


class Hub(ThreadingHTTPServer):
    """Holds what was pushed.

    Attributes:
        files: path -> content.
        private: as the repository was made; None before.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.private: bool | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass

    def answer(self, status: int, content: Any, **headers: str) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def is_welcome(self) -> bool:
        if self.headers.get("Authorization") == f"Bearer {TOKEN}":
            return True
        self.answer(401, {"error": "Invalid credentials"}, X_Error_Message="Invalid credentials")
        return False

    def body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def do_POST(self) -> None:
        body = self.body()
        if not self.is_welcome():
            return
        if self.path == "/api/repos/create":
            asked = json.loads(body)  # newer versions of the library say visibility
            self.server.private = asked.get("visibility") == "private" or bool(asked.get("private"))
            self.answer(200, {"url": f"{self.server.address}/{NAME}"})
        elif self.path == "/api/validate-yaml":
            self.answer(200, {"errors": [], "warnings": []})
        elif self.path == f"/api/models/{NAME}/preupload/main":
            asked = json.loads(body)["files"]
            kind = {"uploadMode": "regular", "shouldIgnore": False}
            self.answer(200, {"files": [{"path": one["path"], **kind} for one in asked]})
        elif self.path == f"/api/models/{NAME}/commit/main":
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    self.server.files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
                elif line["key"] == "deletedFile":
                    del self.server.files[line["value"]["path"]]
            self.answer(200, {"commitUrl": f"{self.server.address}/{NAME}/commit/{COMMIT}", "commitOid": COMMIT})
        else:
            self.answer(404, {"error": self.path})

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        files = self.server.files
        if not self.is_welcome():
            return
        if path in (f"/api/models/{NAME}", f"/api/models/{NAME}/revision/main"):
            self.answer(200, {"id": NAME, "sha": COMMIT, "siblings": [{"rfilename": name} for name in files]})
        elif path in (f"/api/models/{NAME}/tree/{COMMIT}", f"/api/models/{NAME}/tree/main"):
            listed = [
                {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
                for name, content in files.items()
            ]
            self.answer(200, listed)
        elif (found := re.fullmatch(rf"/{NAME}/resolve/{COMMIT}/(.+)", path)) and found[1] in files:
            content = files[found[1]]
            self.answer(200, content, ETag=f'"{hashlib.sha1(content).hexdigest()}"', X_Repo_Commit=COMMIT)
        else:
            self.answer(404, {"error": path}, X_Error_Code="RepoNotFound")

    def do_HEAD(self) -> None:
        self.do_GET()


@contextmanager
def running_hub() -> Iterator[Hub]:
    hub = Hub()
    thread = Thread(target=hub.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
        thread.join()
