"""`python -m shadowproxy.runtime '{"config": …}'`: becomes the supervisor. `shadowproxy run` execs this."""

from __future__ import annotations

import sys

import msgspec

from shadowproxy.runtime.main import main
from shadowproxy.runtime.roles import REAL_ROLES

if __name__ == "__main__":
    sys.exit(main(msgspec.json.decode(sys.argv[1], type=dict[str, object]), REAL_ROLES))
