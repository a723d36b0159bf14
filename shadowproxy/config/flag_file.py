"""The flags file as a configuration needs it: read, and held against what the configuration says of flags."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from shadowproxy.flags.definitions import Definitions, FlagsError
from shadowproxy.flags.fields import rounded
from shadowproxy.flags.reading import MAX_BYTES, read
from shadowproxy.flags.selection import lists_of, ramped, selected, shadowed
from shadowproxy.model.policy import Policy
from shadowproxy.model.rollout import FLAG

_NAMED = 5


class FlagFile(Struct, frozen=True):
    """`definitions` None: there is no flags section, or the file cannot be used, which `problems` say, a line each."""

    definitions: Definitions | None = None
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def examine(policy: Policy) -> FlagFile:
    """Read the file that a policy names. `check` and the start say what is wrong; control does so while it runs."""
    if policy.flags is None:
        return FlagFile()
    where = policy.flags.file
    try:
        definitions = read(read_bytes(Path(where)), where)
    except FlagsError as error:
        return FlagFile(None, error.problems)
    return FlagFile(definitions, tuple(contradictions(definitions, policy)), tuple(remarks(definitions, policy)))


def read_bytes(path: Path) -> bytes:
    """A little more than what can be used at most. Raises FlagsError."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise FlagsError((f"{path}: it cannot be read: {error.strerror}",)) from None


def contradictions(definitions: Definitions, policy: Policy) -> Iterator[str]:
    """What a configuration says of flags that are not there."""
    where = policy.flags.file if policy.flags is not None else ""
    for flag, variants in shadowed(policy).items():
        for variant in sorted(variants):
            yield from _unknown(definitions, where, "shadow.flags", flag, variant)
    for flag, found in ramped(policy).items():
        for service, variant in found:
            yield from _unknown(definitions, where, f"the rollout of {service}", flag, variant)


def _unknown(definitions: Definitions, where: str, who: str, flag: str, variant: str) -> Iterator[str]:
    definition = definitions.flags.get(flag)
    if definition is None:
        yield f"{where}: {who} names the flag {flag!r}, which is not there"
    elif variant not in definition.variants:
        yield f"{where}: {who} names the variant {variant!r} of {flag}, which has {', '.join(definition.variants)}"


def remarks(definitions: Definitions, policy: Policy) -> Iterator[str]:
    """What works and is probably not meant."""
    if policy.flags is None:
        return
    where, limit = policy.flags.file, policy.flags.max_size
    for expose in lists_of(policy):
        left_out = selected(definitions, expose, limit).left_out
        if left_out:
            which = "all flags" if expose is None else f"expose_flags {', '.join(expose)}"
            more = f" and {len(left_out) - _NAMED} more" if len(left_out) > _NAMED else ""
            yield (
                f"{where}: requests do not carry {', '.join(left_out[:_NAMED])}{more}: {which} may take more than "
                f"{limit} bytes; raise flags.max_size, or list those that services need in expose_flags"
            )
        for each in expose or ():
            if not any(key.startswith(each[:-1]) if each.endswith("*") else key == each for key in definitions.flags):
                yield f"{where}: expose_flags names {each!r}, and no flag is called so"
    for key, definition in definitions.flags.items():
        for variant, value in definition.variants.items():
            if (sent := rounded(value)) is not None:
                yield f"{where}: {key}, variant {variant}: {value} is {sent} in the header (RFC 9651, 4.1.5)"
    for service in policy.services:
        stages = service.rollout.stages if service.rollout is not None else ()
        flags = dict.fromkeys(stage.flag for stage in stages if stage.kind == FLAG)
        if flags:
            yield (
                f"{where}: the rollout of {service.name} lays {', '.join(flags)} over in the header and in OFREP; "
                "flagd SDKs that evaluate the file in their own process cannot see it"
            )
