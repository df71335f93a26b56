"""The documents: every relative link leads to a file, and the map of an order names functions that exist."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAP = ROOT / "docs/life-of-an-order.md"
_LINK = re.compile(r"\[([^\]]*)\]\(([^)\s]+)\)")


def documents():
    listed = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / line for line in listed.stdout.splitlines()]


def relative_links(document):
    return [(text, target) for text, target in _LINK.findall(document.read_text()) if "://" not in target]


def defined_names(path):
    tree = ast.parse(path.read_text())
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return {node.name for node in ast.walk(tree) if isinstance(node, kinds)}


@pytest.mark.parametrize("document", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_relative_links_lead_to_files(document):
    targets = [target.partition("#")[0] for _, target in relative_links(document)]
    assert [each for each in targets if each and not (document.parent / each).exists()] == []


def test_functions_named_in_the_life_of_an_order_exist():
    named = [(text.strip("`"), MAP.parent / target) for text, target in relative_links(MAP) if "`" in text]
    assert len(named) > 20
    assert [f"{name} in {path}" for name, path in named if name not in defined_names(path)] == []
