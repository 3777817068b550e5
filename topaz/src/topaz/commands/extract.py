"""`topaz extract`."""

import sys

from heliodor.cli.topaz import run

if __name__ == "__main__":
    sys.exit(run("extract", sys.argv[1:]))
