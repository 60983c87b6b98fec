"""A server below a path of another one: https://example.org/photos.

Place in the flow: --base-path -> BasePath, which takes it from the path of a request; links carry it (service.py,
page.py).

A proxy may pass the path on as it is, or without the base: both are found.
"""

import re

from starlette.types import ASGIApp, Receive, Scope, Send

from fusemix.errors import ConfigError

BASE_PATH = re.compile(r"(/[A-Za-z0-9._~-]*[A-Za-z0-9_~-])+")
OWN = ("api", "healthz", "indices-list", "knn-service", "media", "metrics", "openapi.json", "static", "v1")
"""With which the server's own paths begin."""


def require_base_path(base: str) -> None:
    """Refuse what cannot be one.

    Args:
        base: nothing, or a path such as /photos.

    Raises:
        ConfigError: it is no path, or begins as paths of the server do.
    """
    if base and not BASE_PATH.fullmatch(base):
        raise ConfigError(f"base_path is {base!r}, but must be a path such as /photos, without a slash at its end.")
    if base.split("/")[1:2] and base.split("/")[1] in OWN:
        raise ConfigError(
            f"base_path is {base!r}, and the server has paths of its own that begin so. Take another, such as /photos."
        )


class BasePath:
    """Takes the base from the path of a request, where it is there.

    Args:
        app: what comes next.
        base: see `require_base_path`.
    """

    def __init__(self, app: ASGIApp, base: str) -> None:
        self.app, self.base = app, base

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on."""
        if scope["type"] == "http" and self.base and f"{scope['path']}/".startswith(f"{self.base}/"):
            scope = {**scope, "path": scope["path"].removeprefix(self.base) or "/"}
        await self.app(scope, receive, send)
