"""The token: who comes in, who does not, and how slowly it is guessed."""

import asyncio
import re
import time

import pytest
from browsing import ids, searched, settled, type_and_search, until
from serving import BASE, BEARER, NAME, TOKEN, finished

from fusemix.commands.serve import address_end
from fusemix.config import ServeConfig
from fusemix.errors import ConfigError
from fusemix.web.answers import Refusal
from fusemix.web.hosts import is_local
from fusemix.web.tokens import LONGEST_SEC, MOST_KNOWN, PATIENCE_SEC, VARIABLE, Guesses, Tokens, token_of

BROWSER = {"Accept": "text/html"}
EVERYTHING = [
    *("/", "/static/page.css", "/media/0", "/api/index", "/openapi.json", "/metrics", "/indices-list", "/nowhere"),
    *("/api/search", "/v1/embeddings", "/knn-service"),
]


@pytest.mark.parametrize(
    ("host", "is_alone"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("127.0.0.2", True), ("0.0.0.0", False), ("", False)],
)
def test_a_token_is_made_as_soon_as_the_host_is_not_this_machine_alone(host, is_alone):
    assert is_local(host) == is_alone
    token, is_made = token_of(None, is_local(host), {VARIABLE: ""})
    assert is_made == (not is_alone)
    if is_made:
        assert len(token) >= 32
        assert token != token_of(None, False, {})[0], "another one each time"
        assert address_end(token, is_made=True) == f"/?token={token}"
    else:
        assert (token, address_end(token, is_made=False)) == (None, "")


def test_a_setting_wins_over_the_variable_and_what_was_given_is_printed_nowhere():
    assert token_of("of-setting", True, {VARIABLE: "of-variable"}) == ("of-setting", False)
    assert token_of(None, True, {VARIABLE: "of-variable"}) == ("of-variable", False)
    assert address_end("of-setting", is_made=False) == "/?token=..."
    assert "of-setting" not in repr(ServeConfig(index="i", token="of-setting"))


@pytest.mark.parametrize("token", ["", "short", "with a space", "ä" * 9, "x" * 201, "line\nbreak"])
def test_what_cannot_be_a_token_is_refused_without_being_told(token):
    with pytest.raises(ConfigError, match="^token must be 8 to 200 letters, digits or signs") as caught:
        token_of(token, True, {})
    assert not token or token not in str(caught.value)
    with pytest.raises(ConfigError, match="^FUSEMIX_TOKEN must be"):
        token_of(None, True, {VARIABLE: "short"})


@pytest.mark.parametrize("path", EVERYTHING)
def test_without_a_token_there_is_nothing_but_the_word_that_the_server_is_up(locked, path):
    answer = locked.ask(path, b"{}" if "-service" in path or "/v1/" in path or "search" in path else None)
    assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
    message = answer.data["error"]["message"] if path.startswith("/v1/") else answer.error
    assert message.startswith("this server asks for its token: open the address that the server printed")
    assert locked.ask("/healthz").data == {"status": "ok"}
    assert locked.ask("/healthz", method="HEAD").status == 200


def test_a_program_sends_the_token_in_the_head(locked):
    assert locked.ask("/api/index", headers=BEARER).status == 200
    assert locked.search({"text": "bar", "k": 3}, **BEARER).status == 200
    assert locked.ask("/api/index", headers={"authorization": f"bearer  {TOKEN} "}).status == 200
    assert locked.ask("/api/index", method="HEAD", headers=BEARER).status == 200
    basic = locked.ask("/api/index", headers={"Authorization": "Basic dTpw"})
    assert basic.error.startswith("this server asks for its token"), "a proxy's own password is no guess"


def test_the_address_with_the_token_leads_to_the_page_which_a_cookie_opens_from_then_on(locked):
    answer = locked.ask(f"/?q=a+dog&token={TOKEN}")
    assert (answer.status, answer.headers["location"]) == (303, f"{BASE}/?q=a+dog")
    cookie, *about = answer.headers["set-cookie"].split("; ")
    assert {part.lower() for part in about} == {"httponly", f"path={BASE}", "samesite=lax"}
    assert TOKEN not in answer.headers["set-cookie"]
    for path in ("/", "/media/0", "/static/page.js", "/metrics"):
        assert locked.ask(path, headers={"Cookie": f"other=1; {cookie}"}).status == 200
    assert locked.search({"text": "bar"}, Cookie=cookie).status == 200
    assert locked.ask("/", headers={"Cookie": f"{cookie}x"}).status == 401
    secure = locked.ask(f"/?token={TOKEN}", headers={"X-Forwarded-Proto": "https"}).headers["set-cookie"]
    assert "; Secure" in secure


def test_only_the_address_of_the_page_takes_the_token(locked):
    assert locked.ask(f"/media/0?token={TOKEN}").status == 401
    assert locked.ask(f"/api/index?token={TOKEN}").status == 401


def test_a_wrong_token_gets_one_sentence_and_a_page_where_a_browser_asks(locked):
    wrong = {"Authorization": "Bearer of-somebody-else", "X-Forwarded-For": "203.0.113.5"}
    answer = locked.ask("/api/index", headers=wrong)
    assert (answer.status, answer.error) == (
        401,
        "the token is wrong: open the address that the server printed, which has ?token=…, or send the header "
        "Authorization: Bearer TOKEN",
    )
    page = locked.ask("/?token=of-somebody-else&q=a", headers={**BROWSER, "X-Forwarded-For": "203.0.113.5"})
    assert page.status == 401
    assert "<p>The token is wrong: open the address" in page.body.decode()
    assert "<a " not in page.body.decode(), "the way back would be refused as well"
    assert "of-somebody-else" not in page.body.decode()


def test_the_token_opens_no_other_name(locked):
    assert locked.ask("/api/index", headers={**BEARER, "Host": NAME}).status == 200
    assert locked.ask("/api/index", headers={**BEARER, "Host": "evil.example"}).status == 421


def test_a_large_body_with_a_wrong_token_is_refused_before_it_is_read_and_hears_why(locked):
    wrong = {"Authorization": "Bearer wrong-wrong", "X-Forwarded-For": "203.0.113.6"}
    answer = locked.search(b" " * 1_400_000, **wrong)
    assert (answer.status, answer.error[:18]) == (401, "the token is wrong")


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def test_each_wrong_guess_doubles_the_time_until_the_next_is_looked_at():
    clock = Clock()
    guesses, waits = Guesses(clock), []
    for _ in range(9):
        waits.append(guesses.wait_sec("a"))
        clock.now += waits[-1]
        guesses.wrong("a")
    assert waits == [0, 0.25, 0.5, 1, 2, 4, 8, 8, 8]
    assert guesses.wait_sec("b") == 0, "others do not wait"
    clock.now += LONGEST_SEC
    guesses.right("a")
    assert guesses.wait_sec("a") == 0


def test_guesses_at_once_stand_in_line_and_a_line_that_is_too_long_is_sent_away():
    clock = Clock()
    guesses = Guesses(clock)
    for _ in range(4):
        guesses.wrong("a")
    waits = []
    with pytest.raises(Refusal, match="too many wrong tokens came from this address") as caught:
        for _ in range(100):
            waits.append(guesses.wait_sec("a"))
    assert waits == [2, 4, 6, 8, 10, 12, 14, 16]
    assert (caught.value.status, caught.value.headers["retry-after"]) == (429, "19")
    clock.now += PATIENCE_SEC + 2 + 601
    assert guesses.wait_sec("a") == 0, "it is forgotten"


def test_addresses_without_end_take_no_memory_without_end():
    guesses = Guesses(Clock())
    for address in range(MOST_KNOWN + 100):
        guesses.wrong(str(address))
    assert len(guesses._known) == MOST_KNOWN
    assert guesses.wait_sec("0") == 0
    assert guesses.wait_sec(str(MOST_KNOWN)) > 0


async def judged(tokens, token, address):
    scope = {"type": "http", "path": "/api/index", "headers": [(b"authorization", f"Bearer {token}".encode())]}
    try:
        await tokens.admit({**scope, "client": (address, 1), "server": ("127.0.0.1", 80), "query_string": b""})
    except Refusal as refusal:
        return refusal.status
    return 200


def test_guesses_of_one_address_are_slow_and_hold_up_nobody_else():
    async def story():
        tokens, started = Tokens(TOKEN), time.monotonic()
        wrong = [asyncio.create_task(judged(tokens, f"guess-{n}", "2001:db8::1")) for n in range(3)]
        await asyncio.sleep(0.01)
        assert await judged(tokens, TOKEN, "2001:db8:0:1::1") == 200, "of another network"
        assert time.monotonic() - started < 0.2
        right = await judged(tokens, TOKEN, "2001:db8::2")
        assert right == 200, "of the same network, in its turn"
        assert time.monotonic() - started >= 0.7
        return [await each for each in wrong]

    assert finished(story()) == [401, 401, 401]


def test_a_page_that_is_not_admitted_any_more_keeps_its_results_and_asks_again_on_a_click(visit, locked):
    visit.expected += ["Failed to load resource: the server responded with a status of 401"]
    tab = visit(f"{BASE}/?token={TOKEN}&q=bar", url=locked.url)
    settled(tab)
    tab.wait_for_load_state("networkidle")
    before = ids(tab)
    tab.context.clear_cookies()  # as after a restart of the server, which draws another
    type_and_search(tab, "a red square")
    problem = tab.locator("#problem")
    until(tab, "!document.querySelector('#problem').hidden")
    assert problem.inner_text().startswith("This server asks for its token: open the address that the server printed")
    assert (ids(tab), tab.locator("#words").input_value()) == (before, "a red square")
    tab.context.request.get(f"{locked.url}{BASE}/?token={TOKEN}")
    problem.get_by_role("button", name="Try again").click()
    searched(tab, f"{BASE}/?q=a+red+square")
    assert not problem.is_visible()


def test_the_page_opens_by_the_printed_address_and_forgets_the_token(visit, locked):
    tab = visit(f"{BASE}/?token={TOKEN}&q=bar", url=locked.url)
    assert re.fullmatch(rf"{locked.url}{BASE}/\?q=bar", tab.url)
    assert tab.evaluate("document.cookie") == "", "no script sees it"
