"""Names that prove themselves: no two writers draw the same, and whoever tidies up sees that one is ours.

Place in the flow: what may be deleted later is given such a name -> whoever deletes asks here first.
"""

import hashlib
import re
import secrets

NAME = re.compile(r"([0-9a-f]{16})-([0-9a-f]{8})")
ANY_NAME = f"{'[0-9a-f]' * 16}-{'[0-9a-f]' * 8}"
"""As shells write it."""


def new_name() -> str:
    """A name that nobody else has."""
    return name_of(secrets.token_hex(8))


def name_of(token: str) -> str:
    """The name with a token of sixteen hexadecimal digits; what follows is a hash of it."""
    return f"{token}-{hashlib.sha256(f'fusemix {token}'.encode()).hexdigest()[:8]}"


def is_ours(name: str) -> bool:
    """Whether a name, without its ending, is one of these."""
    match = NAME.fullmatch(name)
    return match is not None and name == name_of(match[1])
