"""`short_slots.py CONFIG` is `shadowproxy run CONFIG` with an isolation proof that takes seconds instead of minutes.

The roles are forked from this process, so that they see the same values.
"""

from __future__ import annotations

import sys

from shadowproxy.control import estimate, isolation
from shadowproxy.model import slots
from shadowproxy.runtime.main import main
from shadowproxy.runtime.roles import REAL_ROLES

SECONDS = 0.3
DRAIN = 0.12

if __name__ == "__main__":
    slots.SECONDS, slots.DRAIN = SECONDS, DRAIN
    isolation.WATCHED, isolation.EVERY = 1.0, 0.25
    estimate.LEAST_GROUPS = 2
    sys.exit(main({"config": sys.argv[1]}, REAL_ROLES))
