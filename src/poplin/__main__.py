"""``python -m poplin``."""

import sys

from poplin.cli import main

sys.exit(main())
