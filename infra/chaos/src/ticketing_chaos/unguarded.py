"""A service with one of its guards off: python -m ticketing_chaos.unguarded GUARD MODULE"""

import runpy
import sys

from ticketing_chaos.guards import GUARDS

if __name__ == "__main__":
    _, guard, module = sys.argv
    GUARDS[guard].off()
    runpy.run_module(module, run_name="__main__")
