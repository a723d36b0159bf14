"""Feature flags as they travel: how they are configured, what is in force, what a rollout lays over one. Frozen values.

Definitions are flagd's JSON, as it was written: the room `flags` reads, compiles and evaluates them.
"""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec
from msgspec import Struct

KIB = 1024


class Attribute(Struct, frozen=True):
    """Where a value of the evaluation context comes from. One of the fields is set.

    `header` (lower case), `cookie`, `claim` (a path in the JWT, its parts separated by dots), or `built_in`:
    `client_address`, `route` or `service`.
    """

    header: str | None = None
    cookie: str | None = None
    claim: str | None = None
    built_in: str | None = None


class JwtPolicy(Struct, frozen=True):
    """Where a token is and what verifies it. Without `key` its claims are read and its signature is not looked at."""

    header: str = "authorization"
    cookie: str | None = None
    key: str = ""
    algorithms: tuple[str, ...] = ()


class OfrepPolicy(Struct, frozen=True):
    """Bounds of the protocol by which SDKs ask: bytes of a body, questions a second of one caller."""

    max_body: int = 64 * KIB
    rate: int = 1000


class FlagsPolicy(Struct, frozen=True):
    """The `flags` section. `max_size` bounds the value of the field `header` on a request, in bytes.

    `targeting_key` None: the sticky key of the service's rollout. `attributes` are the rest of the context, by name.
    """

    file: str
    header: str = "Feature-Flags"
    max_size: int = 4 * KIB
    targeting_key: Attribute | None = None
    attributes: dict[str, Attribute] = {}
    jwt: JwtPolicy = JwtPolicy()
    ofrep: OfrepPolicy = OfrepPolicy()


class Overlay(Struct, frozen=True):
    """What a rollout lays over a flag, before its targeting: users whose share is below `weight` get `variant`.

    The share is `model.sampling.share(flag_salt(salt, flag), targeting key)` with the service's salt: independent of
    the one that splits users between arms, so that either arm has users with the variant and users without.
    A flag that is killed or DISABLED has no overlay.
    """

    flag: str
    variant: str
    weight: float = 0.0


class FlagsInForce(Struct, frozen=True, tag="flags"):
    """The flags of this moment; it travels from control to the supervisor, which keeps the newest for new workers.

    `document` is flagd's JSON of those flags that workers can need (`flags.selection`), `killed` names flags for which
    nothing counts but their off variant. `version` rises with every change, also over restarts. 0: there are none.
    """

    version: int = 0
    document: bytes = b'{"flags": {}}'
    killed: tuple[str, ...] = ()

    @property
    def hash(self) -> str:
        """Equal flags have equal hashes, whatever their version."""
        body = msgspec.msgpack.encode((self.document, self.killed))
        return hashlib.blake2b(body, digest_size=8).hexdigest()


NO_FLAGS: Final = FlagsInForce()


class Evaluations(Struct, frozen=True, tag="evaluations"):
    """How often a worker evaluated which flag since it last said so: (flag, variant, reason, number)."""

    counts: list[tuple[str, str, str, int]]


def flag_salt(salt: bytes, flag: str) -> bytes:
    """The salt of a flag's overlay; `salt` is the service's own."""
    return hashlib.blake2b(salt + b"\n" + flag.encode(), digest_size=32).digest()
