"""URLs as texts: what is one, what of it may be written down, and which are refused.

Place in the flow: a setting or an option -> kinds.py, config/typed.py; text of an error -> what is shown or kept.
Not here: opening anything (remote/).

A user name, a password or a query may be a secret. So no URL that holds one is accepted where it would be written down,
and none that a library names in an error is shown or kept with it.
"""

import re
from urllib.parse import unquote

BEGINS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)(://|::)")
WITHIN = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(\S*)")
LOGIN = re.compile(r"[^@/\s]*:(?!\d+/)[^@\s]*@|[^@/?\s]*@")
"""A user, perhaps with a password, which may hold any mark; `host:8080/a@b` has none."""
CLOSING = "'\",;:.)]>}"
"""What may end a sentence behind a URL."""
CHAINS = (
    *("asyncwrapper", "async_wrapper", "blockcache", "cached", "data", "dir", "filecache", "generic", "libarchive"),
    *("reference", "simplecache", "tar", "zip"),
)
"""Protocols of fsspec that lead on to another one, or hold in the URL itself what they give."""
LOCAL = ("file", "local")
CONTAINERS = ("abfs", "abfss", "wasb", "wasbs")
"""Protocols whose URLs name a container where others name a user: abfs://container@account.dfs.core.windows.net."""
NOT_HERE = (
    "a path of this machine, and no URL, since it is locked, searched or mapped into memory: copy it here first, or "
    "to the URL afterwards"
)


def is_url(text: object) -> bool:
    r"""Whether a text names something by a protocol of fsspec; `C:\photos` and `local-dir:/x` do not.

    >>> is_url("s3://bucket/photos"), is_url("photos"), is_url("simplecache::s3://bucket")
    (True, False, True)
    """
    return isinstance(text, str) and BEGINS.match(text) is not None


def without_secrets(text: str) -> str:
    """A text in which no URL holds a user, a password or a query.

    >>> without_secrets("cannot open https://me:secret@host/a.tar?X-Amz-Signature=5: 403")
    'cannot open https://host/a.tar: 403'
    """
    return WITHIN.sub(_stripped, text) if "://" in text else text


def _stripped(found: re.Match[str]) -> str:
    protocol, rest = found[1], found[2]
    login = LOGIN.match(rest)
    if login and not (protocol.lower() in CONTAINERS and ":" not in login[0]):
        rest = rest[login.end() :]
    path, asked, query = rest.partition("?")
    return f"{protocol}://{path}{query[len(query.rstrip(CLOSING)) :] if asked else ''}"


def problem(text: str) -> str | None:
    """Why a URL is not opened, in words that may be shown; None where it may be.

    Args:
        text: that `is_url`.
    """
    begins = BEGINS.match(text)
    assert begins is not None, "it is a URL"
    protocol, rest = begins[1].lower(), text[begins.end() :]
    if "::" in text or protocol in CHAINS:
        return "it chains protocols. Name the place itself, as in s3://bucket/photos"
    if protocol in LOCAL:
        return None
    login = LOGIN.match(rest)
    if "?" in rest or (login and not (protocol in CONTAINERS and ":" not in login[0])):
        return (
            "it holds a user, a password or a query, and settings are written down. Leave them out, and give them to "
            "fsspec by the environment or by its configuration, ~/.config/fsspec"
        )
    if not rest.strip("/"):
        return f"it names no place behind {protocol}://"
    if any(part in (".", "..") for part in rest.split("/")):
        return "it holds '.' or '..' as a folder. Name the place itself"
    return None


def local_path(text: str) -> str:
    """The path that `file://` names; any other text as it is.

    >>> local_path("file:///data/my%20photos"), local_path("photos")
    ('/data/my photos', 'photos')
    """
    begins = BEGINS.match(text)
    if begins is None or begins[0].lower() not in [f"{name}://" for name in LOCAL]:
        return text
    return unquote(text[begins.end() :].removeprefix("localhost"))
