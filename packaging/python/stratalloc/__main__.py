"""``python -m stratalloc``: figures and a trim of the interpreter that runs it, and programs on it."""

import argparse
import json
import os
import sys

import stratalloc


def run_program():
    """``stratalloc-run``: becomes the program that the package has."""
    os.execv(stratalloc.runner(), ["stratalloc-run", *sys.argv[1:]])


def _run_code(path, arguments):
    """Runs a script in this interpreter, as ``python path`` would."""
    import runpy

    sys.argv[:] = [path, *arguments]
    sys.path[0] = os.path.dirname(os.path.abspath(path))
    runpy.run_path(path, run_name="__main__")


def main():
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m stratalloc", description=__doc__)
    parser.add_argument("--version", action="version", version=stratalloc.__version__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, about in [
        ("stats", "print the figures as JSON; with a script, after it has run"),
        ("metrics", "print all figures as OpenMetrics text; with a script, after it has run"),
        ("trim", "give free memory back and print the figures; with a script, after it has run"),
    ]:
        command = commands.add_parser(name, help=about, description=about)
        command.add_argument("script", nargs="?")
        command.add_argument("arguments", nargs=argparse.REMAINDER)
    commands.add_parser("library", help="print the path of the library")
    asked = parser.parse_args()
    if asked.command == "library":
        print(stratalloc.library())
        return 0
    if not stratalloc.active():
        # Only a fresh process can be put on another allocator.
        os.execv(stratalloc.runner(), ["stratalloc-run", sys.executable, "-m", "stratalloc", *sys.argv[1:]])
    if asked.script:
        _run_code(asked.script, asked.arguments)
    if asked.command == "metrics":
        print(stratalloc.metrics(), end="")
        return 0
    if asked.command == "trim":
        stratalloc.trim()
    print(json.dumps(stratalloc.stats()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
