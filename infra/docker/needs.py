"""Prints what a package needs of other people's: they are installed before its source is looked at."""

import sys
import tomllib
from pathlib import Path

for pyproject in sys.argv[1:]:
    project = tomllib.loads(Path(pyproject).read_text())["project"]
    print(*(need for need in project["dependencies"] if need != "ticketing-common"), sep="\n")
