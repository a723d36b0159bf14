"""What the supervisor and its roles say to each other, over one socket pair per child, framed msgpack.

Supervisor to any role: Apply. To workers: Names, FlagsInForce, Adopt, Yield, Drain, StopAccepting, Quit. To control and
comparer: Quit. Worker to supervisor: Ready, Applied, and Paths and Evaluations, which are passed on to control. Control
to supervisor: Names, Templates, Reload, Publish, FlagsInForce.
"""

from __future__ import annotations

from msgspec import Struct

from shadowproxy.model.flags import Evaluations, FlagsInForce
from shadowproxy.model.policy import Policy, Registry
from shadowproxy.model.rollout import Split


class Apply(Struct, frozen=True, tag=True):
    """Compile this policy and swap it in. `problems` are those of the last reload that failed, empty if it did not.

    `reread`: files that the policy names may have changed. They have not where only templates were published.
    """

    policy: Policy
    registry: Registry
    problems: tuple[str, ...] = ()
    reread: bool = True


class Names(Struct, frozen=True, tag=True):
    """The last good addresses of host names: every name that an upstream or a health check uses."""

    addresses: dict[str, tuple[str, ...]]


class Paths(Struct, frozen=True, tag=True):
    """A sample of what a worker served as `other` and the primary answered well: service and path, as it came."""

    seen: list[tuple[str, bytes]]


class Templates(Struct, frozen=True, tag=True):
    """Learned path templates that are to become routes, by service, those first that matter most."""

    learned: dict[str, tuple[str, ...]]


class Adopt(Struct, frozen=True, tag=True):
    """Accept from this slot's listening sockets as well: its worker died."""

    slot: int


class Yield(Struct, frozen=True, tag=True):
    """Stop accepting from this slot's sockets: it has a worker again."""

    slot: int


class Drain(Struct, frozen=True, tag=True):
    """Say `Connection: close` from now on; go on accepting."""


class StopAccepting(Struct, frozen=True, tag=True):
    """Empty the accept queues, close the listeners, end within `timeout` seconds, then exit 0.

    `handover`: a successor accepts from the same sockets, so the queues are left to it.
    """

    timeout: float
    handover: bool = False


class Quit(Struct, frozen=True, tag=True):
    """End now."""


class Ready(Struct, frozen=True, tag=True):
    """The role listens (or is connected) with the policy of this sequence number."""

    sequence: int


class Applied(Struct, frozen=True, tag=True):
    """The policy of this sequence number is in force; `why` says what kept it from being so."""

    sequence: int
    why: str = ""


class Publish(Struct, frozen=True, tag=True):
    """What rollouts do to traffic from now on, by service; None: nothing. Other services stay as they are.

    Everyone hears it as an Apply. After a recall (SIGUSR2) the split in force has weight 0 and `recalled`, the time of
    the signal. From then on a split that sends anybody to the candidate is put in force only if it says the same time:
    who says it has seen the recall; what was decided before is refused. Weight 0 with nobody chosen needs no such word.
    The time stays in the split until control publishes None, which ends the split.
    """

    splits: dict[str, Split | None]


class Reload(Struct, frozen=True, tag=True):
    """Read the configuration again, as on SIGHUP: something that belongs to it was written."""


ToRole = Apply | Names | Paths | FlagsInForce | Evaluations | Adopt | Yield | Drain | StopAccepting | Quit
ToSupervisor = Ready | Applied | Names | Paths | Templates | Reload | Publish | FlagsInForce | Evaluations
