"""`topaz downsample`."""

import sys

from heliodor.cli.topaz import run

if __name__ == "__main__":
    sys.exit(run("downsample", sys.argv[1:]))
