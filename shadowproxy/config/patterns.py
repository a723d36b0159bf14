"""Regular expressions of the configuration."""
from __future__ import annotations

import re

from shadowproxy.config.problems import Wrong


def parse_pattern(text: str) -> str:
    try:
        re.compile(text)
    except (re.error, RecursionError, OverflowError) as error:
        raise Wrong(f"this is no regular expression ({error})") from None
    return text
