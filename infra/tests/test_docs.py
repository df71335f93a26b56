"""Relative links in the documents lead to files, and docs/life-of-an-order.md names existing functions."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAP = ROOT / "docs/life-of-an-order.md"
_LINK = re.compile(r"\[([^\]]*)\]\(([^)\s]+)\)")


def list_documents():
    result = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / line for line in result.stdout.splitlines()]


def find_relative_links(document):
    return [(text, target) for text, target in _LINK.findall(document.read_text()) if "://" not in target]


def find_defined_names(path):
    tree = ast.parse(path.read_text())
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return {node.name for node in ast.walk(tree) if isinstance(node, kinds)}


@pytest.mark.parametrize("document", list_documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_relative_links_lead_to_files(document):
    targets = [target.partition("#")[0] for _, target in find_relative_links(document)]
    assert [each for each in targets if each and not (document.parent / each).exists()] == []


def test_functions_named_in_the_life_of_an_order_exist():
    named = [
        (text.strip("`"), MAP.parent / target) for text, target in find_relative_links(MAP) if "`" in text
    ]
    assert len(named) > 20
    assert [f"{name} in {path}" for name, path in named if name not in find_defined_names(path)] == []
