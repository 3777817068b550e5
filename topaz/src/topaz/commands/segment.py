"""`topaz segment`."""

import sys

from heliodor.cli.topaz import run

if __name__ == "__main__":
    sys.exit(run("segment", sys.argv[1:]))
