"""How the API says no: problem details, RFC 9457."""

from __future__ import annotations

from msgspec import UNSET, Struct, UnsetType


class Problem(Struct, frozen=True):
    """The body of every error. A type of `about:blank` has the title of its status (RFC 9457 section 4.2.1)."""

    title: str
    """The name of the status."""
    status: int
    """The status of the answer."""
    detail: str
    """What is wrong, and what would be right."""
    type: str = "about:blank"
    """A URI; `about:blank`: the status says it all."""
    entry: str | UnsetType = UNSET
    """An entry of a file that could not be written, as text to be added by hand (an extension member, section 3.2)."""


class ProblemError(Exception):
    """Ends a request with a status and a sentence that says what would be right."""

    def __init__(self, status: int, detail: str, entry: str = "") -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.entry = entry
