"""Formats of recorded traffic: GoReplay's files are read and written, HAR is read (`capture.har`, which only a replay
needs). Pure: bytes in, values out.
"""

from shadowproxy.capture.goreplay import GoReplayReader, encode_record
from shadowproxy.capture.record import ANSWER, REPLAYED, REQUEST, FormatError, Record

__all__ = [
    "ANSWER",
    "REPLAYED",
    "REQUEST",
    "FormatError",
    "GoReplayReader",
    "Record",
    "encode_record",
]
