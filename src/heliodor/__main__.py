"""`python -m heliodor`."""

import sys

from heliodor.cli import main

sys.exit(main())
