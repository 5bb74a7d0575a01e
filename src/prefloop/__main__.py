"""`python -m prefloop`: the same as `prefloop`, where its script is not on the path."""

import sys

from prefloop.cli import main

sys.exit(main())
