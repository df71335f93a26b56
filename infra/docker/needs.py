"""Prints the third-party dependencies of packages, which are installed before their sources are copied."""

import sys
import tomllib
from pathlib import Path

for pyproject in sys.argv[1:]:
    project = tomllib.loads(Path(pyproject).read_text())["project"]
    print(*(need for need in project["dependencies"] if not need.startswith("ticketing-")), sep="\n")
