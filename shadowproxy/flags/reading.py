"""From the text of a flags file to definitions, or to everything that is wrong with it."""

from __future__ import annotations

from typing import Final

import msgspec

from shadowproxy.flags.definitions import Definitions, FlagsError

MAX_BYTES: Final = 32 * 1024 * 1024


def read(text: bytes, where: str) -> Definitions:
    """Definitions of which every flag can be compiled. `where` names the file in problems. Raises FlagsError."""
    try:
        return msgspec.json.decode(text, type=Definitions)
    except msgspec.MsgspecError as error:
        raise FlagsError((f"{where}: {error}",)) from None
