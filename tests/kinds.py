"""What kind each test is, seen from what it uses, so that `make quick` can leave out what takes long.

Place in the flow: collected tests -> marks, which pyproject.toml describes, and an order in which long ones come first.

What a test uses is what it names, and what its fixtures name, and what helpers of the tests name that these call.
"""

import multiprocessing
import os
import subprocess
from collections import Counter
from collections.abc import Iterator
from inspect import unwrap
from multiprocessing.context import BaseContext
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import pytest
import torch.multiprocessing

TESTS = str(Path(__file__).parent)
GUIDES = {"test_guides.py", "test_notebooks.py", "test_road.py"}
STARTING = {subprocess, multiprocessing, torch.multiprocessing}
TRAINING = {"tiny", "drawing", "evaluation_world"}
"""Fixtures that train."""
ROOMS = {"api", "benchmarks", "caching", "encoders", "generating", "integrations", "tools", "travel", "web"}
"""Folders whose tests load libraries of models, train, install, or serve."""
LONG = {
    *("test_aligned.py", "test_chosen_on.py", "test_chosen_recipe.py", "test_closed_form.py", "test_going_on.py"),
    *("test_hubs.py", "test_loggers.py", "test_longer.py", "test_unpaired.py"),
    *("test_pace.py", "test_ranges.py", "test_recipes.py", "test_rehearsal.py", "test_runs.py", "test_starts.py"),
    *("test_stretches.py", "test_compare.py", "test_comparison.py", "test_counting.py", "test_earlier_formats.py"),
    *("test_end_to_end.py", "test_evaluation_mistakes.py", "test_exchange.py", "test_intervals.py", "test_learned.py"),
    *("test_listing.py", "test_mistakes.py", "test_module_paths.py", "test_overwrite.py", "test_part_options.py"),
    *("test_overwritten_runs.py", "test_removed_meanwhile.py"),
    *(
        "test_published_counting.py",
        "test_recipe_names.py",
        "test_refused_urls.py",
        "test_remote_data.py",
        "test_site.py",
        "test_texts.py",
    ),
    *("test_trust.py", "test_vectors.py", "test_words.py", "test_zero_shot_command.py", "test_zero_shot.py"),
    *("test_embedding.py", "test_ending.py", "test_loader.py", "test_locks.py", "test_odd_states.py"),
    *("test_captioned_files.py", "test_contract.py", "test_index_writer.py", "test_optimizers.py", "test_out.py"),
    *("test_demo_sound.py", "test_generation_command.py", "test_page_render.py", "test_regression.py"),
    *("test_settings_ranges.py", "test_study_command.py"),
}
"""Files most of whose tests train, cache, evaluate, draw pages or simulate."""
SECONDS = {"guides": 5.0, "processes": 2.0, "browser": 1.0, "long": 0.2}
"""About so many a test takes; all others take hundredths."""


def is_long(path: Path) -> bool:
    """Whether all tests of a file are."""
    return path.name in LONG or bool(ROOMS & set(path.relative_to(TESTS).parts[:-1]))


def is_left_out(path: Path) -> bool:
    """Whether `--quick` need not import a file, nor look into a folder."""
    return path.name in GUIDES or (path.is_relative_to(TESTS) and is_long(path / "any" if path.is_dir() else path))


def kinds_of(item: pytest.Function) -> set[str]:
    """Its marks."""
    fixtures = {name: found[-1].func for name, found in item._fixtureinfo.name2fixturedefs.items()}
    seen: set[FunctionType] = set()
    named = {value for function in (item.function, *fixtures.values()) for value in _named(function, seen)}
    kinds = {
        "browser": "browser" in fixtures,
        "guides": item.path.name in GUIDES,
        "processes": "programs" in fixtures or bool(STARTING & named) or any(_forks(one) for one in seen),
        "long": is_long(item.path) or bool(TRAINING & fixtures.keys()),
    }
    return {kind for kind, holds in kinds.items() if holds}


def first_the_long(items: list[pytest.Item]) -> None:
    """Sort files by about the time that they take: so all workers end at about one time."""
    takes = Counter()
    for item in items:
        takes[item.path] += max([SECONDS.get(mark.name, 0.0) for mark in item.iter_markers()], default=0.0)
    items.sort(key=lambda item: -takes[item.path])


def _named(function: Any, seen: set[FunctionType]) -> Iterator[Any]:
    """Modules that a function names, itself or in helpers of the tests."""
    function = unwrap(getattr(getattr(function, "hypothesis", None), "inner_test", function))
    if not isinstance(function, FunctionType) or function in seen:
        return
    seen.add(function)
    for name in _names(function.__code__):
        value = function.__globals__.get(name)
        if isinstance(value, ModuleType):
            yield value
        elif isinstance(value, BaseContext):
            yield multiprocessing
        elif isinstance(value, FunctionType) and unwrap(value).__code__.co_filename.startswith(TESTS):
            yield from _named(value, seen)


def _forks(function: FunctionType) -> bool:
    return function.__globals__.get("os") is os and "fork" in set(_names(function.__code__))


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)
