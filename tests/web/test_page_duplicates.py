"""Near duplicates on the page: one result with a badge, which opens the group."""

from browsing import FIRST, ids, settled, until


def grouped(server, words, k=FIRST, modality=None):
    among = {"modality": modality} if modality else {}
    return server.search({"text": words, "k": k, "group_duplicates": True, **among}).data["results"]


def test_a_badge_opens_a_group_and_closes_it_again(visit, server):
    tab = visit("/?q=bar")
    settled(tab)
    results = grouped(server, "bar")
    before = [one["id"] for one in results]
    assert ids(tab) == before
    badges = tab.locator(".hit .same")
    assert badges.all_inner_texts() == [f"+{len(one['duplicates'])}" for one in results if one["duplicates"]]
    place = next(place for place, one in enumerate(results) if len(one["duplicates"]) > 1)
    others = [one["id"] for one in results[place]["duplicates"]]
    badge = tab.locator(".hit").nth(place).locator(".same")
    assert badge.get_attribute("aria-label") == f"{len(others)} almost the same"
    badge.click()
    assert badge.get_attribute("aria-expanded") == "true"
    opened = [*before[: place + 1], *others, *before[place + 1 :]]
    assert ids(tab) == opened
    numbers = tab.locator("#results .hit").evaluate_all("(all) => all.map((one) => one.dataset.place)")
    assert numbers == [str(number) for number in range(len(opened))]
    tab.locator(".hit").nth(place + 1).locator(".look").click(force=True)
    assert others[0] in tab.locator("#larger .facts").inner_text()
    assert f"{place + 2} of {len(opened)}" in tab.locator("#larger .facts").inner_text()
    tab.keyboard.press("Escape")
    badge.click()
    assert ids(tab) == before


def test_more_results_follow_though_a_group_is_open(visit, server):
    tab = visit("/?q=bar&of=any")
    settled(tab)
    tab.locator(".hit .same").first.click()
    tab.get_by_role("button", name="Show more").click()
    every = [one["id"] for one in grouped(server, "bar", 120, "any")]
    until(tab, "(count) => document.querySelectorAll('.hit .score').length === count", len(every))
    assert ids(tab) == every
    hidden = sum(len(one["duplicates"]) for one in grouped(server, "bar", 120, "any"))
    assert f"{len(every)} and {hidden} almost the same of 84" in tab.locator("#status").inner_text()
