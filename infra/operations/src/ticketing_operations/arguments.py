"""The parser of a command's arguments."""

import argparse


def command_parser(command: str, doc: str | None) -> argparse.ArgumentParser:
    """`doc`: the docstring of the command's module, which is its help."""
    return argparse.ArgumentParser(
        prog=f"python -m ticketing_operations {command}",
        description=doc,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
