"""What tests do with the page: wait, read results, drop files."""

import base64
import time

FIRST = 40
"""Results that the page asks for at first."""


def until(tab, expression, argument=None):
    """Wait for something to become true; playwright's own way needs eval, which the page's policy forbids."""
    deadline = time.monotonic() + 20
    while not tab.evaluate(expression, argument):
        assert time.monotonic() < deadline, f"never true: {expression}"
        tab.wait_for_timeout(20)


def settled(tab):
    """Wait until results of the address are there."""
    busy = "document.querySelector('#results').ariaBusy"
    until(tab, f"!{busy} && document.querySelector('#status').textContent.includes(' ms')")


def ids(tab):
    """Ids of the results, as their links say them."""
    links = tab.locator("#results .seed").evaluate_all("(all) => all.map((a) => a.getAttribute('href'))")
    return [tab.evaluate("(link) => new URLSearchParams(link.slice(2)).get('like')", link) for link in links]


def found(server, **query):
    """What the page asks, asked without it: near duplicates are one."""
    return [one["id"] for one in server.search({"k": FIRST, "group_duplicates": True, **query}).data["results"]]


def searched(tab, path, count=None):
    """Wait until the address is `path` and its results are there, so many where that is said."""
    until(tab, "(path) => location.pathname + location.search === path", path)
    settled(tab)
    scores = "document.querySelectorAll('.hit .score').length"
    if count is not None:
        until(tab, f"(count) => {scores} === count", count)
    assert tab.evaluate(f"{scores} === document.querySelectorAll('.hit').length")
    return ids(tab)


def type_and_search(tab, words):
    tab.locator("#words").fill(words)
    tab.keyboard.press("Enter")


def drop(tab, path, kind, mode=None):
    """Drop a file on the page, or on one half of what appears when it is dragged over."""
    data = tab.evaluate_handle(
        """([text, name, type]) => {
            const made = new DataTransfer();
            const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
            made.items.add(new File([bytes], name, {type}));
            return made;
        }""",
        [base64.b64encode(path.read_bytes()).decode(), path.name, kind],
    )
    tab.dispatch_event("body", "dragover", {"dataTransfer": data})
    assert tab.locator("#drop").is_visible()
    tab.dispatch_event(f"#drop [data-mode={mode}]" if mode else "body", "drop", {"dataTransfer": data})
    assert not tab.locator("#drop").is_visible()
