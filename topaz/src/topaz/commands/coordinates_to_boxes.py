"""`topaz coordinates_to_boxes`."""

import sys

from heliodor.cli.topaz import run

if __name__ == "__main__":
    sys.exit(run("coordinates_to_boxes", sys.argv[1:]))
