"""`impatient.py CONFIG` is `shadowproxy run CONFIG` that learns endpoints in one second instead of seven.

The roles are forked from this process, so that they see the same values.
"""

from __future__ import annotations

import sys

from shadowproxy.endpoints import learner
from shadowproxy.runtime import control
from shadowproxy.runtime.main import main
from shadowproxy.runtime.roles import REAL_ROLES

if __name__ == "__main__":
    learner.PATIENCE = 0.7
    control.PROPOSE_EVERY = 0.3
    sys.exit(main({"config": sys.argv[1]}, REAL_ROLES))
