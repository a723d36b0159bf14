"""Formats of recorded traffic: GoReplay's files are read and written, HAR is read. Pure: bytes in, values out."""

from shadowproxy.capture.goreplay import GoReplayReader, encode_record
from shadowproxy.capture.har import read_har
from shadowproxy.capture.record import ANSWER, REPLAYED, REQUEST, FormatError, Record

__all__ = [
    "ANSWER",
    "REPLAYED",
    "REQUEST",
    "FormatError",
    "GoReplayReader",
    "Record",
    "encode_record",
    "read_har",
]
