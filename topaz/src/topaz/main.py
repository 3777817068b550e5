"""The executable `topaz`, and what RELION's wrapper imports."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command of `sys.argv`; return its exit code."""
    from heliodor.cli.topaz import main as run

    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
