"""`topaz star_to_coordinates`."""

import sys

from heliodor.cli.topaz import run

if __name__ == "__main__":
    sys.exit(run("star_to_coordinates", sys.argv[1:]))
