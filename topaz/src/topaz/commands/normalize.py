"""`topaz normalize`."""

import sys

from heliodor.cli.topaz import run

if __name__ == "__main__":
    sys.exit(run("normalize", sys.argv[1:]))
