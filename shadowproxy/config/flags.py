"""The `flags` section: where feature flags are defined, and what they are evaluated for."""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Final

from msgspec import Struct

from shadowproxy.config import matching
from shadowproxy.config import values as v
from shadowproxy.config.problems import BadValueError
from shadowproxy.config.section import Section, about, fill
from shadowproxy.model import flags as f

TARGETING_KEY: Final = "targetingKey"
BUILT_IN: Final = ("client_address", "route", "service")
ALGORITHMS: Final = ("HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
ALGORITHMS_OF_CURVES: Final = ("ES256", "ES384", "ES512", "EdDSA")
_RIGHT: Final = f"write header:NAME, cookie:NAME, claim:NAME, {', '.join(BUILT_IN[:-1])} or {BUILT_IN[-1]}"


def _source(text: str) -> f.Attribute:
    where, _, name = text.partition(":")
    if text in BUILT_IN:
        return f.Attribute(built_in=text)
    if where in {"header", "cookie"} and matching.TOKEN.fullmatch(name) and len(name) <= 256:
        return f.Attribute(header=name.lower()) if where == "header" else f.Attribute(cookie=name)
    if where == "claim" and re.fullmatch(r"[!-~]{1,256}", name):
        return f.Attribute(claim=name)
    raise BadValueError(_RIGHT)


def _written(source: Any) -> str:
    return next(
        f"{where}:{name}" if where != "built_in" else name
        for where in ("header", "cookie", "claim", "built_in")
        if (name := getattr(source, where)) is not None
    )


def _jwt_key(value: Any) -> str:
    if not isinstance(value, str) or not 8 <= len(value) <= 16 * 1024:
        raise v.SecretError("write a public key in PEM, or a secret of at least 8 characters")
    return str(value)


def _attribute_name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][\w-]{0,99}", text):
        raise BadValueError("write the name of an attribute, such as email: letters, digits, - and _")
    return text


Source = Annotated[f.Attribute, v.text_kind("`header:`, `cookie:` or `claim:` and a name, …", _source, render=_written)]
AttributeName = Annotated[str, v.text_kind("name", _attribute_name)]
JwtKey = Annotated[str, v.Kind("key", _jwt_key, {"type": "string"})]
Algorithm = Annotated[str, v.choice_kind(*ALGORITHMS, *ALGORITHMS_OF_CURVES)]


class Jwt(Section):
    """Where the token is whose claims are attributes. Without `key` they are read and the signature is not looked at:
    good for what the service behind verifies itself.
    """

    fills: ClassVar[Struct | None] = f.JwtPolicy()
    header: v.FieldName | None = about("The header field; `Bearer ` in front of the token is left out.")
    cookie: v.Text | None = about("The cookie, instead of a header field.")
    key: JwtKey | None = about(
        "What verifies the signature: a public key in PEM, or a secret; best from `${NAME}` or `${file:/path}`. A "
        "token that it does not verify, or that has expired, has no claims."
    )
    algorithms: tuple[Algorithm, ...] | None = about("The algorithms that are accepted with `key`.")


class Ofrep(Section):
    """Limits of OFREP, the protocol by which SDKs ask for flags at the admin listener."""

    fills: ClassVar[Struct | None] = f.OfrepPolicy()
    max_body: v.Size | None = about("The largest body of a question; a larger one is 413.")
    rate: v.Count | None = about("Questions a second of one caller, on average; more is 429 with `Retry-After`.")


class Flags(Section):
    """Feature flags in flagd's format, evaluated for every request and handed on in one header field."""

    needs: ClassVar[tuple[str, ...]] = ("file",)
    fills: ClassVar[Struct | None] = f.FlagsPolicy("")
    file: v.File | None = about("The definitions, JSON as flagd has it; watched, so that no reload is needed.")
    header: v.FieldName | None = about(
        "The field that upstreams get, a dictionary of RFC 9651. From clients it is stripped, unless they are "
        "`trusted_proxies`: what those decided stands."
    )
    max_size: v.Buffer | None = about(
        "The largest value of that field; flags that may not fit are left out, and named."
    )
    context: dict[AttributeName, Source] | None = about(
        "What flags are evaluated for, by the name that targeting uses. `targetingKey` is the user; absent: the sticky "
        "key of the service's rollout."
    )
    jwt: Jwt | None = about("Where claims come from.")
    ofrep: Ofrep | None = about("Limits of the protocol for SDKs.")


def flags_of(section: Flags, file: str) -> f.FlagsPolicy:
    """`file` is where its file is."""
    context = section.context or {}
    jwt = fill(f.JwtPolicy(), section.jwt)
    if section.jwt is not None and section.jwt.cookie is not None:
        jwt = f.JwtPolicy("", jwt.cookie, jwt.key, jwt.algorithms)
    return fill(
        f.FlagsPolicy(file),
        section,
        file=file,
        targeting_key=context.get(TARGETING_KEY),
        attributes={name: source for name, source in context.items() if name != TARGETING_KEY},
        jwt=f.JwtPolicy(jwt.header.lower(), jwt.cookie, jwt.key, jwt.algorithms),
        ofrep=fill(f.OfrepPolicy(), section.ofrep),
    )
