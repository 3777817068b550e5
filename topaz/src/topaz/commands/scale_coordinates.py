"""`topaz scale_coordinates`."""

import sys

from heliodor.cli.topaz import run

if __name__ == "__main__":
    sys.exit(run("scale_coordinates", sys.argv[1:]))
