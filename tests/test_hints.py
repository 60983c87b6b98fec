"""What a message tells people to set is a setting of the command that prints it, or of the one that it names."""

import ast
import dataclasses
import re

import pytest
from test_guides import ROOT

from fusemix import config
from fusemix.cli.table import COMMANDS

PRINTED_BY = {
    "wiring/searching/collections.py": ("index",),
    "models/embedder.py": ("index", "search", "serve", "eval_generation"),
    "wiring/searching/imported.py": ("index",),
    "wiring/caching/import_latents.py": ("import",),
    "wiring/searching/index_model.py": ("index", "search", "serve"),
    "wiring/searching/origins.py": ("search", "serve"),
    "wiring/searching/index_plan.py": ("index",),
    "wiring/searching/indexing.py": ("index",),
    "wiring/searching/editing.py": ("index",),
    "wiring/searching/searcher.py": ("search", "serve"),
    "models/recipes.py": ("index", "search", "serve"),
    "models/trained.py": ("index", "search", "serve", "export", "eval_zero_shot"),
    "commands/study.py": ("study",),
    "config/studying.py": ("study",),
    "wiring/studying/folder.py": ("study",),
    "wiring/studying/grid.py": ("study",),
    "wiring/studying/outcome.py": ("study",),
    "wiring/studying/running.py": ("study",),
    "datasets/folder.py": ("index",),
    "datasets/walking.py": ("index",),
    "latents/foreign.py": ("import",),
    "search/description.py": ("index", "search", "serve", "verify"),
    "search/folder.py": ("index", "search", "serve", "verify"),
    "search/seals.py": ("verify",),
    "search/writer.py": ("index",),
    "search/earlier.py": ("upgrade_index",),
    "commands/upgrade_index.py": ("upgrade_index",),
    "commands/export_index.py": ("export_index",),
    "commands/select.py": ("select",),
    "config/selecting.py": ("select",),
    "wiring/selecting/candidates.py": ("select",),
    "wiring/selecting/methods.py": ("select",),
    "wiring/selecting/select.py": ("select",),
    "commands/generate.py": ("generate",),
    "wiring/generating/drawing.py": ("generate",),
    "wiring/generating/ip_adapters.py": ("generate",),
    "wiring/generating/pictures.py": ("generate",),
    "wiring/generating/pipelines.py": ("generate",),
    "wiring/generating/plan.py": ("generate",),
    "commands/eval_generation.py": ("eval_generation",),
    "wiring/evaluation/drawn_from.py": ("eval_generation",),
    "wiring/evaluation/pairs.py": ("eval_generation",),
    "wiring/evaluation/pictures.py": ("eval_generation",),
    "search/handing_over.py": ("export_index",),
    "parts/trust.py": ("index", "search", "serve", "export", "export_embeddings", "eval_retrieval", "eval_zero_shot"),
    "commands/index.py": ("index",),
    "commands/search.py": ("search",),
    "commands/duplicates.py": ("duplicates",),
    "search/duplicates.py": ("duplicates", "search", "serve"),
    "wiring/searching/grouping.py": ("search", "serve"),
    "commands/serve.py": ("serve",),
    "commands/import_latents.py": ("import",),
}
"""Module -> commands whose users may read its messages."""
OPTION = re.compile(r"(?<![\w-])--([a-z][a-z_-]*)|(?<![\w.{'-])([a-z_]+)(?:\.[\w.]+)?=(?=[\w{…])")
COMMAND = re.compile(r"fusemix (\w+)")
OTHER = {"q", "e", "v", "split", "revision", "overwrite"}  # addresses of pages; of Python and of caching


def texts_of(path):
    """Literal text of each string in a module, without docstrings; what is filled in is an ellipsis."""
    tree = ast.parse(path.read_text())
    inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    documents = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(part.value if isinstance(part, ast.Constant) else "…" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and not {id(node)} & (inside | documents):
            yield node.value


def settings_of(command):
    schema = COMMANDS[command].schema
    return {field.name for field in dataclasses.fields(getattr(config, schema))} if schema else set()


@pytest.mark.parametrize("module", PRINTED_BY)
def test_settings_that_a_message_names_are_there(module):
    for text in texts_of(ROOT / "fusemix" / module):
        for found in OPTION.finditer(text):
            name = (found[1] or found[2]).replace("-", "_")
            if not found[1] and (name in OTHER or " " not in text):
                continue
            named = COMMAND.findall(text[: found.start()])[-1:]
            for command in named or PRINTED_BY[module]:
                assert name in settings_of(command), f"{module}: {command} has no {name!r}: {text!r}"
