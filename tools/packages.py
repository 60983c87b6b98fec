"""uv in pip's place: minutes less, from the same indexes.

    .venv/bin/python tools/packages.py install --requirement requirements.lock

Place in the flow: the Makefile -> here -> packages in the environment of this Python, or requirements.lock.
pip's own settings (its configuration files, PIP_… in the environment) are handed on to uv as uv's environment, so that
no address stands in the repository; what is set for uv itself wins. What uv cannot install, pip does.
Not here: which packages, and in which versions; see requirements.lock.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

PYPI = "https://pypi.org/simple"
"""What both take where nothing is set."""
PIP_TIMEOUT = 15.0
"""Seconds that pip waits where nothing is set; uv waits longer."""


def uv_settings(pip: Mapping[str, Any]) -> dict[str, str]:
    """Options of pip as uv's environment.

    Args:
        pip: options of `pip install` by name, as pip has read them.

    Returns:
        Only what is set in pip. uv compares the versions of all indexes, as pip does; but of one version it takes the
        files of a single index, the first one, and the default one comes last: so pip's own index is named first, since
        an extra one may lack the wheel that fits this machine.
    """
    *first, last = [pip["index_url"], *pip["extra_index_urls"]]
    said = {
        "UV_DEFAULT_INDEX": "" if last == PYPI else last,
        "UV_INDEX": " ".join(first),
        "UV_FIND_LINKS": ",".join(pip["find_links"]),
        "UV_NO_INDEX": "1" if pip["no_index"] else "",
        "UV_INSECURE_HOST": " ".join(pip["trusted_hosts"]),
        "UV_HTTP_TIMEOUT": "" if float(pip["timeout"]) == PIP_TIMEOUT else str(int(float(pip["timeout"]))),
        "SSL_CERT_FILE": pip["cert"],
        "ALL_PROXY": pip["proxy"],
    }
    return {name: value for name, value in {**said, "UV_INDEX_STRATEGY": "unsafe-best-match"}.items() if value}


def pip_options() -> dict[str, Any]:
    """Options of `pip install`, out of its configuration files and the environment."""
    from pip._internal.commands import create_command  # there is no public way to ask for all of them

    options, _ = create_command("install").parse_args([])
    return vars(options)


def main(command: str, *arguments: str) -> int:
    """Do it by uv; what uv cannot install, pip does.

    Args:
        command: of `uv pip`: install, or compile.
        *arguments: of it, and of `pip install`.

    Returns:
        An exit code.
    """
    try:
        environment = {**uv_settings(pip_options()), **os.environ}
    except Exception as error:  # what is inside pip may change with any version of it
        print(f"pip's settings cannot be read for uv: {error!r}", file=sys.stderr)
        environment = dict(os.environ)
    uv = [sys.executable, "-m", "uv", "pip", command, "--quiet", "--python", sys.executable, *arguments]
    code = subprocess.run(uv, env=environment, check=False).returncode
    if code == 0 or command != "install":
        return code
    print("uv could not install that; pip does, which takes some minutes more.", file=sys.stderr)
    return subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", *arguments], check=False).returncode


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
