from page_samples import report

from fusemix.reports.page import tables

NAMES = ("image_to_text", "text_to_image")


def test_the_results_hold_figures_intervals_counts_and_chance_of_both_directions():
    grid = tables.results(report("image"), NAMES)
    assert grid.heads == ["R@1", "R@5", "MRR", "median rank", "mean rank", "queries", "gallery", "links", "ties"]
    assert [row.name for row in grid.rows] == ["image → text", "by chance", "text → image", "by chance"]
    first, chance = grid.rows[:2]
    assert first.cells[0][:2] == ("51.2", "48.1–54.1")
    assert first.cells[1][:2] == ("75.0", "")
    assert [cell.text for cell in first.cells[-4:]] == ["5,000", "1,000", "5,000", "7"]
    assert [cell.text for cell in chance.cells] == ["20.0"] + [""] * 8
    assert all(len(row.cells) == len(grid.heads) for row in grid.rows)


def test_what_is_compared_says_its_kind_and_stands_in_a_table_of_its_own():
    grid = tables.others(report("image"), NAMES)
    assert [(row.kind, row.name, row.direction) for row in grid.rows] == [
        ("baseline", "CCA", "image → text"),
        ("baseline", "CCA", "text → image"),
    ]
    assert [row.about for row in grid.rows] == ["A closed form.", ""]


def test_widths_stand_with_both_directions_in_a_row():
    grid = tables.widths(report("image"), NAMES)
    heads = [f"{direction} R@{k}" for direction in ("image → text", "text → image") for k in (1, 5)]
    assert grid.heads == ["bytes an item", *heads, "recall sum"]
    (row,) = grid.rows
    assert row.name == "64 in int8"
    assert [cell.text for cell in row.cells] == ["1,064", "51.2", "75.0", "51.2", "75.0", "150.0"]
    assert tables.widths({"metrics": report("image")["metrics"]}, NAMES).rows == [], "reports of before have none"


def test_indexes_and_hubs_are_optional():
    whole = report("image")
    assert [cell.text for cell in tables.indexes(whole).rows[0].cells] == ["98.0", "97.0", "49.9", "0.1", "0.02", "1.5"]
    assert [cell.text for cell in tables.hubness(whole).rows[1].cells] == ["1.234", "4.0", "57"]
    plain = {key: whole[key] for key in ("metrics", "counts", "chance")}
    assert [part(plain).rows for part in (tables.indexes, tables.hubness)] == [[], []]
    assert tables.others(plain, NAMES).rows == []


def test_facts_are_lines_and_nested_ones_stand_apart():
    lines, nested = tables.facts({"encoders": {"text": ["a", "b"]}, "num_unusable": 1234, "c": {"d": 1}, "e": None})
    assert lines == [("encoders of text", "a, b"), ("items that could not be used", "1,234"), ("e", "–")]
    assert nested == {"c": {"d": 1}}
