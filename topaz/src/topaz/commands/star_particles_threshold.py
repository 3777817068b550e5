"""`topaz star_particles_threshold`."""

import sys

from heliodor.cli.topaz import run

if __name__ == "__main__":
    sys.exit(run("star_particles_threshold", sys.argv[1:]))
