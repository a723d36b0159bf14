"""The `rollout` section of a service."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from msgspec import Struct
from pydantic import BeforeValidator, create_model

from shadowproxy.config import rollout_values as rv
from shadowproxy.config import values as v
from shadowproxy.config.section import OneOrMany, Section, about
from shadowproxy.model import rollout as r

_FOR: dict[str, Any] = {"for": (v.Duration | None, about("How long, while the candidate gets requests."))}
_Timed = create_model("_Timed", __base__=Section, **_FOR)
"""`for` is a word of Python, so no class statement can have a field of that name."""


class Bake(_Timed):  # type: ignore[valid-type, misc]  # made at run time
    """When a part of a stage is over: its time and its requests are there, no enforced check fails, none lacks data.

    With several weights it holds for each of them. Its clock stands while something holds the rollout.
    """

    fills: ClassVar[Struct | None] = r.Bake()
    requests: v.Waiting | None = about("How many requests the candidate must have got, copies in a shadow stage.")
    evidence: rv.Evidence | None = about("`not_worse`: it must be shown that the candidate is not worse.")
    early: v.Flag | None = about("Whether the stage may end before its time once that is shown.")
    timeout: v.Positive | None = about("When `on_timeout` is done if the stage is not over, holds included.")
    on_timeout: rv.OnTimeout | None = about("What is done then.")


class Match(Section):
    """Users who are sent to the candidate whatever the weight. One of the two.

    A name alone: the value `always` is the candidate, `never` the primary, any other one draws.
    """

    header: rv.ChosenHeader | None = about("A request header: `x-canary`, or with its value `x-canary: yes`.")
    cookie: rv.ChosenCookie | None = about("A cookie: `beta`, or with its value `beta=1`.")


class ShadowStage(Section):
    """Users stay with the primary, the candidate gets copies."""

    sample: v.Share | None = about("The most that is mirrored. Absent: as routes say.")


class Approve(Section):
    """It waits until somebody approves."""

    fills: ClassVar[Struct | None] = r.Stage("", r.APPROVE)
    timeout: v.Positive | None = about("How long; absent: for ever.")
    on_timeout: rv.OnTimeout | None = about("What is done then.")


class Canary(Section):
    """A share of the users, served by the candidate."""

    needs: ClassVar[tuple[str, ...]] = ("weight",)
    weight: rv.Weight | None = about("The share.")
    match: OneOrMany[Match] | None = about("Users who come first, one match or a list.")


class Progressive(Section):
    """Several shares, one after the other."""

    needs: ClassVar[tuple[str, ...]] = ("weights",)
    weights: tuple[rv.Weight, ...] | None = about("The shares, rising.")
    holdback: v.Share | None = about(
        "The share that stays with the primary until the last bake is over, for comparison. `2%` where weights end at "
        "`100%`."
    )
    match: OneOrMany[Match] | None = about("Users who come first, one match or a list.")


class BlueGreen(Section):
    """Chosen users see the candidate; after the bake all users are switched in one step, and it bakes again."""

    needs: ClassVar[tuple[str, ...]] = ("preview",)
    preview: OneOrMany[Match] | None = about("Who sees the candidate before the switch, one match or a list.")
    keep_blue: v.Duration | None = about("The least time of the second bake, in which a failure switches back.")


class FlagStage(Section):
    """A feature flag for a rising share of all users, whichever arm serves them: laid over the flag, before its own
    targeting. What is looked at is users with it against users without, on the candidate where it has users.
    """

    needs: ClassVar[tuple[str, ...]] = ("flag", "variant", "weights")
    flag: rv.FlagKey | None = about("Its key.")
    variant: rv.FlagKey | None = about("The variant that they get.")
    weights: tuple[rv.Weight, ...] | None = about("The shares, rising.")
    bake: Bake | None = about("When each share is over; it may stand beside `flag` as well.")


class Stage(Section):
    """One of `shadow`, `approve`, `canary`, `progressive`, `blue_green` and `flag`; `bake` alone keeps everything as it
    is.
    """

    name: rv.StageName | None = about("Its name. Absent: what it does, such as `canary 5%`.")
    shadow: ShadowStage | None = about("Mirror only.")
    approve: Approve | None = about("Wait for a person.")
    canary: Canary | None = about("Give the candidate a share of the users.")
    progressive: Progressive | None = about("Raise that share in steps.")
    blue_green: BlueGreen | None = about("Switch all users at once.")
    flag: FlagStage | None = about("Turn a flag on for a share of the users, in steps.")
    bake: Bake | None = about("When it is over. Absent: as soon as no check lacks data.")


class Check(Section):
    """What is looked at. One of `check`, `promql` and `webhook`. `max_relative` and `max_absolute` are tolerated
    differences to the primary: both have to be exceeded.
    """

    fills: ClassVar[Struct | None] = r.Check("", "")
    check: rv.CheckKind | None = about("One that the proxy measures by itself.")
    name: rv.StageName | None = about("Its name. Absent: that of `check`.")
    promql: rv.Promql | None = about(
        "A query to `prometheus`; `$version`, `$service` and `$arm` stand for the arm's version, the service, the arm."
    )
    webhook: rv.Link | None = about("An address that says whether to go on.")
    mode: rv.Mode | None = about("`observe` shows it and decides nothing.")
    max_relative: rv.Growth | None = about(
        "How much more than the primary's. `10%` for error rates, `20%` for latencies."
    )
    max_absolute: rv.MaxAbsolute | None = about("By how much more: `0.1pp` for error rates, `5ms` for latencies.")
    max: rv.Max | None = about("The most that the candidate may have, whatever the primary has.")
    max_slope: rv.Slope | None = about("How fast it may rise (`slow_burn`, `promql`): `5%/h`.")
    against: rv.Against | None = about("`promql`: asked for both arms and compared.")
    step: v.Positive | None = about("`promql`: the distance of two values.")
    interval: v.Positive | None = about("`webhook`: how often it is asked.")
    timeout: v.Positive | None = about("`promql`, `webhook`: how long an answer may take.")
    retries: rv.Retries | None = about("`webhook`: how often it is asked again when there is no answer.")
    confirm: v.Flag | None = about("`webhook`: no means not yet, instead of failed.")


class StickyUsers(Section):
    """What makes a user the same user, so that nobody is sent to and fro. Absent: each request draws for itself."""

    needs: ClassVar[tuple[str, ...]] = ("by",)
    fills: ClassVar[Struct | None] = r.Sticky()
    by: rv.User | None = about("Whose value tells users apart.")
    fallback: rv.Fallback | None = about("What tells requests without it apart.")


class Budget(Section):
    """How often a healthy candidate may be rolled back: all checks, stages and looks of an attempt together."""

    fills: ClassVar[Struct | None] = r.Plan("", ())
    false_rollback: v.DiscoveryRate | None = about("The probability.")


class Watch(Section):
    """The watch of `supervise: required`."""

    ttl: v.Positive | None = about("How long it lasts without a sign of the one who holds it.")


class Notification(Section):
    """Who hears of what happens: a POST for each event, repeated until it is taken, signed with `secret`."""

    needs: ClassVar[tuple[str, ...]] = ("webhook",)
    fills: ClassVar[Struct | None] = r.Notify("")
    webhook: rv.Link | None = about("Where to.")
    secret: rv.Key | None = about("Signs the body, HMAC with SHA-256; best from `${NAME}` or `${file:/path}`.")
    events: tuple[rv.Event, ...] | None = about("Which events. Absent: all.")


class Prometheus(Section):
    """Where `promql` checks are asked; its address alone is fine."""

    needs: ClassVar[tuple[str, ...]] = ("url",)
    fills: ClassVar[Struct | None] = r.Prometheus("")
    url: rv.Link | None = about("The address, with a path where the API has one before `/api/v1`.")
    timeout: v.Positive | None = about("How long an answer may take.")
    headers: dict[v.FieldName, v.FieldValue] | None = about("Fields to send, such as credentials.")


def _address_alone(value: Any) -> Any:
    return {"url": value} if isinstance(value, str) else value


class Rollout(Section):
    """How users get from the primary to the candidate: either `stages`, or a `strategy` that stands for some.

    An attempt keeps the plan that it began with; a changed one waits for the next attempt.
    """

    fills: ClassVar[Struct | None] = r.Plan("", ())
    name: v.Name | None = about("Its name; another name is another rollout. Absent: the service's.")
    strategy: rv.Strategy | None = about("Stages that make sense for most; `shadowproxy rollout plan` shows them.")
    stages: tuple[Stage, ...] | None = about("The stages, in their order.")
    change_class: rv.ChangeClass | None = about("What kind of change it is: what a freeze looks at.")
    sticky: StickyUsers | None = about("What makes a user the same user.")
    budget: Budget | None = about("How often a healthy candidate may be rolled back.")
    errors: tuple[rv.Failure, ...] | None = about("What counts as a failure, the same for both arms.")
    exclude: tuple[rv.Excluded, ...] | None = about("Requests that are no evidence.")
    warmup: v.Duration | None = about("How long nothing counts after each rise of the weight.")
    checks: tuple[Check, ...] | None = about(
        "What is looked at. Absent: `error_rate`, `latency_p99`, `sample_ratio`, `slow_burn`, and `regressed_fields` "
        "where requests are mirrored and noise is learned."
    )
    on_fail: rv.OnFail | None = about("What a failed check does; `pause` is weight 0 with the attempt kept.")
    supervise: rv.Supervise | None = about("`required`: it goes on only while somebody holds the watch.")
    watch: Watch | None = about("The watch.")
    lease: v.Positive | None = about("How long the candidate keeps its users when nobody renews that.")
    notify: OneOrMany[Notification] | None = about("Who hears of it, one or a list.")
    prometheus: Annotated[Prometheus, BeforeValidator(_address_alone)] | None = about("Where `promql` is asked.")
