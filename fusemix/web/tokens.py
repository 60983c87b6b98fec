"""The token: who may ask a server that others can reach.

Place in the flow: --token, FUSEMIX_TOKEN, or one that is made -> Tokens, which BodyLimit asks before a body is read;
the page's address with ?token=… -> a cookie.
Not here: what a server may be called (hosts.py).

Who guesses is slowed down: after a wrong token the next one of the same address is not looked at for a while, which
costs the server nothing but a connection. Cookies are not guessed: theirs is drawn anew at each start.
"""

import asyncio
import hmac
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from ipaddress import IPv6Address, ip_address
from urllib.parse import parse_qsl, urlencode

from starlette.requests import HTTPConnection
from starlette.responses import RedirectResponse
from starlette.types import Scope

from fusemix.errors import ConfigError
from fusemix.web.answers import Refusal

VARIABLE = "FUSEMIX_TOKEN"
TOKEN = re.compile(r"[!-~]{8,200}")
OPEN = frozenset({"/healthz"})
"""What is told to everybody: probes have no token."""
HOME = "/"
FIRST_SEC, LONGEST_SEC = 0.25, 8.0
"""Time until the next guess is looked at: after the first wrong one, twice as long after each further one, at most."""
PATIENCE_SEC = 16.0
"""Who would wait longer is sent away."""
FORGOTTEN_SEC = 600
MOST_KNOWN = 4096
"""Addresses whose wrong guesses are kept in mind; beyond, those of the longest ago are forgotten."""
HOW = "open the address that the server printed, which has ?token=…, or send the header Authorization: Bearer TOKEN"


def token_of(given: str | None, is_local: bool, variables: Mapping[str, str]) -> tuple[str | None, bool]:
    """The token that a server asks for, and whether it was made here.

    Args:
        given: as a setting.
        is_local: whether this machine alone reaches the server, which then needs none.
        variables: of the environment.

    Raises:
        ConfigError: what was given cannot be a token.
    """
    name, token = ("token", given) if given is not None else (VARIABLE, variables.get(VARIABLE) or None)
    if token is None:
        return (None, False) if is_local else (secrets.token_urlsafe(24), True)
    if not TOKEN.fullmatch(token):
        raise ConfigError(
            f"{name} must be 8 to 200 letters, digits or signs of ASCII, without spaces. Leave it out: one is made."
        )
    return token, False


class Guesses:
    """How long each address waits until its next guess is looked at.

    Args:
        clock: seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: OrderedDict[str, tuple[int, float]] = OrderedDict()  # wrong guesses, and until when none is heard

    def wait_sec(self, address: str) -> float:
        """Take a place in the line of an address.

        Returns:
            Seconds until its turn; nothing where it has not guessed wrongly.

        Raises:
            Refusal: 429, the line is too long.
        """
        now = self._clock()
        wrong, until = self._known.get(address, (0, now))
        if now - until > FORGOTTEN_SEC:
            del self._known[address]
            return 0.0
        if not wrong:
            return 0.0
        wait = max(0.0, until - now)
        if wait > PATIENCE_SEC:
            raise Refusal(
                429,
                "too many wrong tokens came from this address; try again in a moment",
                {"retry-after": str(int(wait) + 1)},
            )
        self._keep(address, wrong, now + wait + _pause(wrong))
        return wait

    def wrong(self, address: str) -> None:
        """A guess was wrong."""
        now = self._clock()
        wrong, until = self._known.get(address, (0, now))
        self._keep(address, wrong + 1, max(until, now + _pause(wrong + 1)))

    def right(self, address: str) -> None:
        """Who knows the token has not guessed."""
        self._known.pop(address, None)

    def _keep(self, address: str, wrong: int, until: float) -> None:
        self._known[address] = (wrong, until)
        self._known.move_to_end(address)
        while len(self._known) > MOST_KNOWN:
            self._known.popitem(last=False)


def _pause(wrong: int) -> float:
    return min(FIRST_SEC * 2.0 ** min(wrong - 1, 30), LONGEST_SEC)


class Tokens:
    """Lets in who brings the token.

    Args:
        token: see `token_of`.
        base_path: below which the server is reached.
        guesses: see Guesses.
    """

    def __init__(self, token: str, base_path: str = "", guesses: Guesses | None = None) -> None:
        self._token, self._base_path = token.encode(), base_path
        self._cookie, self._guesses = secrets.token_urlsafe(32), guesses or Guesses()

    async def admit(self, scope: Scope) -> None:
        """Wait as long as who guesses must, and judge.

        Raises:
            Refusal: 401, there is no token, or a wrong one; 429, too many were wrong.
        """
        asked = HTTPConnection(scope)
        if scope["path"] in OPEN or _same(asked.cookies.get(_name(scope), ""), self._cookie.encode()):
            return
        given = _given(asked)
        if given is None:
            raise _unauthorized(f"this server asks for its token: {HOW}")
        address = _address(scope)
        if wait := self._guesses.wait_sec(address):
            await asyncio.sleep(wait)
        if not _same(given, self._token):
            self._guesses.wrong(address)
            raise _unauthorized(f"the token is wrong: {HOW}")
        self._guesses.right(address)

    def welcome(self, asked: HTTPConnection) -> RedirectResponse:
        """Leads who came with the token in the address to the address without it, with a cookie in its place."""
        query = [(name, value) for name, value in parse_qsl(asked.url.query) if name != "token"]
        home = f"{self._base_path}{HOME}{'?' if query else ''}{urlencode(query)}"
        answer = RedirectResponse(home, 303, {"cache-control": "no-store"})
        # Lax and not strict: whoever follows a link to a search from elsewhere stays admitted.
        answer.set_cookie(
            _name(asked.scope),
            self._cookie,
            path=self._base_path or HOME,
            secure=asked.url.scheme == "https",
            httponly=True,
            samesite="lax",
        )
        return answer


def _same(given: str, expected: bytes) -> bool:
    """In a time that does not tell how much of it is right."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), expected)


def _given(asked: HTTPConnection) -> str | None:
    """The token of a request: in its head, or in the address of the page."""
    scheme, _, token = asked.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return token.strip()
    return asked.query_params.get("token") if asked.scope["path"] == HOME else None


def _name(scope: Scope) -> str:
    """Of the cookie: browsers send those of a host to each of its ports."""
    return f"fusemix-{(scope.get('server') or ('', 0))[1] or 0}"


def _unauthorized(message: str) -> Refusal:
    return Refusal(401, message, {"www-authenticate": "Bearer"})


def _address(scope: Scope) -> str:
    """Of who asks; of IPv6 the network, since whoever has one address there has 2^64."""
    name = (scope.get("client") or ("",))[0]
    try:
        found = ip_address(name)
    except ValueError:
        return name
    if not isinstance(found, IPv6Address):
        return str(found)
    return str(found.ipv4_mapped or int(found) >> 64)
