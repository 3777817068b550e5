"""`topaz coordinates_to_star`."""

import sys

from heliodor.cli.topaz import run

if __name__ == "__main__":
    sys.exit(run("coordinates_to_star", sys.argv[1:]))
