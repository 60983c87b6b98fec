"""Sums with weights on the page: what is typed, its chips, and its address."""

from browsing import found, searched, settled, type_and_search, until
from typed_samples import SUMS, WORDS

from fusemix.search.typed import terms_of


def test_a_typed_sum_has_chips_with_signs_and_an_address_that_keeps_them(visit, server):
    tab = visit()
    type_and_search(tab, '"one blue circle" + 2.5*"bar" - "a low tone"')
    path = "/?q=one+blue+circle&q=bar&w=2.5&q=a+low+tone&w=-1"
    queries = [{"text": "one blue circle"}, {"text": "bar", "weight": 2.5}, {"text": "a low tone", "weight": -1}]
    assert searched(tab, path) == found(server, queries=queries)
    assert tab.locator("#chips li span").all_inner_texts() == ["2.5 × bar", "− a low tone"]
    assert tab.locator("#words").input_value() == "one blue circle"
    assert tab.title().startswith("one blue circle + 2.5 × bar − a low tone · ")
    again = visit(path)
    assert searched(again, path) == found(server, queries=queries)
    tab.get_by_role("button", name="Remove − a low tone").click()
    assert searched(tab, "/?q=bar&w=2.5&q=one+blue+circle") == found(server, queries=queries[:2])
    tab.go_back()
    assert searched(tab, path) == found(server, queries=queries)


def test_words_that_are_no_sum_stay_words_and_what_is_only_less_is_searched_for(visit, server):
    tab = visit()
    type_and_search(tab, 'bar - "circle"')
    assert searched(tab, "/?q=bar+-+%22circle%22") == found(server, text='bar - "circle"')
    assert tab.locator("#words").input_value() == 'bar - "circle"'
    type_and_search(tab, "-“bar”")
    assert searched(tab, "/?q=bar&w=-1") == found(server, text="bar", weight=-1)
    assert tab.locator("#chips li span").all_inner_texts() == ["− bar"]


def test_a_wrong_weight_is_said(visit):
    visit.expected.append("Failed to load resource: the server responded with a status of 422")
    for path in ("/?q=bar&w=x", "/?q=bar&w=0"):
        tab = visit(path)
        until(tab, "document.querySelector('#problem').textContent !== ''")
        rule = "Queries[0].weight must be a number from -100 to 100, other than 0."
        assert tab.locator("#problem").inner_text() == rule


def test_the_page_and_the_command_line_read_alike(visit, server):
    tab = visit("/?q=bar")
    settled(tab)
    read = """async (texts) => {
        const { termsOf } = await import("/static/query.js");
        return texts.map((text) => termsOf(text).map((part) => [part.text, part.weight ?? 1]));
    }"""
    texts = [*SUMS, *(text for text in WORDS if text.strip())]
    assert tab.evaluate(read, texts) == [
        [[text.strip(), weight] for text, weight in terms_of(typed)] for typed in texts
    ]
