"""Classification by prompts, against scikit-learn, slow loops and closed forms."""

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import average_precision_score, balanced_accuracy_score, top_k_accuracy_score
from torch.nn import functional as F

from fusemix.reports.classes.picture import draw_classes
from fusemix.retrieval import average_precision as ap
from fusemix.retrieval import zero_shot
from fusemix.retrieval.zero_shot import (
    chance_figures,
    class_embeddings,
    confusions,
    drawn_weights,
    measure_classes,
    nearest_classes,
    number_of_draws,
)


def world(num_items=200, num_classes=9, noise=0.6, seed=0):
    """Items around their classes; no class has the same number of them."""
    generator = torch.Generator().manual_seed(seed)
    classes = F.normalize(torch.randn(num_classes, 8, generator=generator), dim=-1)
    labels = (torch.rand(num_items, generator=generator) ** 1.5 * num_classes).long()
    labels[:num_classes] = torch.arange(num_classes)
    items = F.normalize(classes[labels] + noise * torch.randn(num_items, 8, generator=generator), dim=-1)
    return items, classes, labels.numpy()


def test_figures_are_those_of_scikit_learn():
    items, classes, labels = world()
    found, scores = measure_classes(items, classes, labels), (items @ classes.T).numpy()
    every = np.arange(len(classes))
    assert found.figures["top_1"] == pytest.approx(top_k_accuracy_score(labels, scores, k=1, labels=every))
    assert found.figures["top_5"] == pytest.approx(top_k_accuracy_score(labels, scores, k=5, labels=every))
    assert found.figures["balanced_top_1"] == pytest.approx(balanced_accuracy_score(labels, scores.argmax(axis=1)))
    expected = [average_precision_score(labels == label, scores[:, label]) for label in every]
    np.testing.assert_allclose(found.precision, expected, rtol=1e-6)
    assert found.figures["map"] == pytest.approx(np.mean(expected))
    assert 0.2 < found.figures["top_1"] < 0.9


def test_a_class_is_the_scaled_mean_of_the_unit_embeddings_of_its_prompts():
    prompts = torch.tensor([[3.0, 0.0], [0.0, 0.1], [0.0, -5.0]])
    made = class_embeddings(prompts, np.array([0, 0, 1]), 2)
    torch.testing.assert_close(made, torch.tensor([[0.5**0.5, 0.5**0.5], [0.0, -1.0]]))


def test_a_class_without_a_direction_is_refused():
    with pytest.raises(ValueError, match="a class has no prompt, or its prompts cancel out"):
        class_embeddings(torch.eye(2), np.array([0, 0]), 2)
    with pytest.raises(ValueError, match="a class has no prompt, or its prompts cancel out"):
        class_embeddings(torch.tensor([[1.0, 0.0], [-1.0, 0.0]]), np.array([0, 0]), 1)


def test_a_class_that_ties_with_others_ranks_after_them():
    classes = F.normalize(torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1e-8]]), dim=-1)
    found = nearest_classes(torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), classes, np.array([0, 3, 2]))
    assert found.ranks.tolist() == [3, 3, 1]
    assert found.tied.tolist() == [True, True, False]


def test_a_collapsed_model_is_never_right():
    ones = F.normalize(torch.ones(20, 4), dim=-1)
    found = measure_classes(ones, ones[:10], np.arange(20) % 10)
    assert found.figures["top_1"] == found.figures["top_5"] == found.figures["balanced_top_1"] == 0.0
    assert found.counts["tied_items"] == 20


def test_average_precision_counts_negatives_that_tie_as_ahead():
    generator = np.random.default_rng(0)
    for _ in range(20):
        scores = generator.integers(0, 6, size=40).astype(np.float32) / 8
        positive = generator.random(40) < 0.3
        positive[0] = True
        expected = []
        for place, score in enumerate(sorted(scores[positive], reverse=True), start=1):
            expected.append(place / (place + sum(scores[~positive] >= score)))
        found = ap.average_precision(ap.order_of(scores, positive))
        assert found == pytest.approx(np.mean(expected))
        assert found <= average_precision_score(positive, scores) + 1e-9


def test_drawing_items_anew_weights_them(monkeypatch):
    monkeypatch.setattr(ap, "WEIGHTS_AT_ONCE", 100)
    generator = np.random.default_rng(1)
    scores, positive = generator.random(60).astype(np.float32), np.arange(60) % 7 == 0
    weights = drawn_weights(60, 12, seed=3)
    found = ap.resampled_average_precision(ap.order_of(scores, positive), weights)
    expected = [average_precision_score(positive, scores, sample_weight=w) for w in weights.T]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_a_draw_without_any_positive_has_no_average_precision():
    order = ap.order_of(np.array([0.3, 0.2], dtype=np.float32), np.array([True, False]))
    found = ap.resampled_average_precision(order, np.array([[0, 1], [2, 1]], dtype=np.uint8))
    assert np.isnan(found[0])
    assert found[1] == 1.0


def test_weights_draw_as_many_items_as_there_are():
    weights = drawn_weights(50, 400)
    assert (weights.sum(axis=0) == 50).all()
    # An item is missing from a draw with a chance of (1 - 1/50)^50.
    assert (weights == 0).mean() == pytest.approx((1 - 1 / 50) ** 50, abs=0.01)


@pytest.mark.parametrize("num_positives", [1, 3, 10])
def test_average_precision_by_chance_is_the_mean_over_random_orders(num_positives):
    generator = np.random.default_rng(0)
    places = [np.sort(generator.permutation(25)[:num_positives]) + 1 for _ in range(4000)]
    drawn = [(np.arange(1, num_positives + 1) / place).mean() for place in places]
    expected = ap.chance_average_precision(num_positives, 25)
    assert expected == pytest.approx(np.mean(drawn), abs=4 * np.std(drawn) / 4000**0.5)


def test_chance_is_what_random_embeddings_reach():
    _, classes, labels = world(num_items=3000, num_classes=12)
    shuffled = torch.randn(3000, 8, generator=torch.Generator().manual_seed(5))
    found, chance = measure_classes(F.normalize(shuffled, dim=-1), classes, labels), chance_figures(np.bincount(labels))
    assert chance["top_1"] == 1 / 12
    assert chance["top_5"] == 5 / 12
    for name, value in chance.items():
        assert found.figures[name] == pytest.approx(value, abs=0.04)


def test_of_fewer_than_five_classes_the_first_five_are_all():
    assert chance_figures(np.array([4, 2]))["top_5"] == 1.0


def test_blocks_change_nothing(monkeypatch):
    items, classes, labels = world()
    whole, told = measure_classes(items, classes, labels), []
    monkeypatch.setattr(zero_shot, "SCORES_AT_ONCE", 450)
    parts = measure_classes(items, classes, labels, advance=told.append)
    assert sum(told) == len(classes)
    assert parts.figures == pytest.approx(whole.figures, abs=1e-12)
    assert parts.intervals == {name: pytest.approx(ends) for name, ends in whole.intervals.items()}
    assert parts.confusions == whole.confusions


def test_classes_without_items_are_wrong_answers_and_in_no_mean():
    items, classes, labels = world(num_classes=6)
    kept = labels < 5
    found = measure_classes(items[kept], classes, labels[kept])
    assert found.counts["classes_without_items"] == 1
    assert np.isnan(found.accuracy[5])
    assert np.isnan(found.precision[5])
    assert found.figures["balanced_top_1"] == pytest.approx(np.nanmean(found.accuracy))
    assert found.chance["top_1"] == 1 / 6
    without = measure_classes(items[kept], classes[:5], labels[kept])
    assert found.figures["top_1"] < without.figures["top_1"]
    np.testing.assert_array_equal(found.precision[:5], without.precision)


def test_confusions_count_what_each_item_was_taken_for():
    items, classes, labels = world()
    predicted = (items @ classes.T).numpy().argmax(axis=1)
    found = confusions(labels, nearest_classes(items, classes, labels))
    assert found == measure_classes(items, classes, labels).confusions
    assert sum(count for *_, count in found) == (predicted != labels).sum()
    for own, other, count in found:
        assert own != other
        assert count == ((labels == own) & (predicted == other)).sum()
    counts = [count for *_, count in found]
    assert counts == sorted(counts, reverse=True)


def test_intervals_cover_the_figure_of_many_draws_about_as_often_as_they_say(monkeypatch):
    monkeypatch.setattr(zero_shot, "MOST_DRAWS", 200)
    generator = torch.Generator().manual_seed(0)
    classes = F.normalize(torch.randn(6, 8, generator=generator), dim=-1)
    found = []
    for _ in range(60):
        labels = torch.randint(6, (80,), generator=generator)
        items = F.normalize(classes[labels] + 0.6 * torch.randn(80, 8, generator=generator), dim=-1)
        found.append(measure_classes(items, classes, labels.numpy()))
    for name in ("top_1", "balanced_top_1", "map"):
        centre = np.mean([one.figures[name] for one in found])
        inside = np.mean([one.intervals[name][0] <= centre <= one.intervals[name][1] for one in found])
        assert 0.85 <= inside <= 1.0
        assert np.mean([one.intervals[name][1] - one.intervals[name][0] for one in found]) < 0.3
        assert all(one.intervals[name][0] <= one.figures[name] <= one.intervals[name][1] for one in found)


def test_fewer_items_are_drawn_anew_where_it_costs_much():
    assert number_of_draws(2_000, 50) == 1_000
    assert number_of_draws(50_000, 1_000) == 200


def test_what_is_no_number_is_refused():
    items, classes, labels = world()
    items[3, 0] = torch.nan
    with pytest.raises(ValueError, match="embeddings hold NaN or infinity"):
        measure_classes(items, classes, labels)


def test_of_many_classes_the_best_and_the_worst_are_drawn(tmp_path):
    for name, count in (("few", 50), ("many", 51), ("half", 100)):
        accuracy = np.linspace(0, 1, count)
        accuracy[:50] = np.nan if name == "half" else accuracy[:50]
        words = [f"class_{number}$" for number in range(count)]
        draw_classes(tmp_path / f"{name}.png", words, accuracy, np.full(count, 3), name)
    widths = {name: Image.open(tmp_path / f"{name}.png").width for name in ("few", "many", "half")}
    assert widths["many"] == 2 * widths["few"]
    assert widths["half"] == widths["few"]
