"""`python -m topaz`."""

import sys

from topaz.main import main

sys.exit(main())
