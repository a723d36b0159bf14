"""What the versions of Python do differently with Unix sockets."""

from __future__ import annotations

import sys
from typing import Any, Final

KEEP_FILE: Final[dict[str, Any]] = {"cleanup_socket": False} if sys.version_info >= (3, 13) else {}
"""For `create_unix_server`. Since 3.13 a server that closes removes its file; ours is a sibling's, or a successor's."""
