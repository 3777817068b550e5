"""`topaz convert`."""

import sys

from heliodor.cli.topaz import run

if __name__ == "__main__":
    sys.exit(run("convert", sys.argv[1:]))
