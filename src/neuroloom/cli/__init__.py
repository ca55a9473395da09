"""The command line: one verb per capability.

Verbs are dataclasses whose fields are their options; they import what they need only when they run, so that
``neuroloom --help`` is quick.
"""

from neuroloom.cli.main import main

__all__ = ["main"]
