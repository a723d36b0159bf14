"""A loop whose clock is moved by hand and a transport that remembers: protocols are tested without sockets or sleep."""

from tests.fakes.loop import FakeLoop
from tests.fakes.transport import FakeTransport, connect

__all__ = ["FakeLoop", "FakeTransport", "connect"]
