"""The comparing room: decodes, compares and explains the pairs whose bytes differ. Pure: the clock is passed in."""

from shadowproxy.compare.engine import Engine

__all__ = ["Engine"]
