"""Listening addresses, upstream URLs, peers and Host names, parsed from text. Pure: nothing is resolved here.

Every parser raises BadValueError, whose message says what would be right and does not repeat the value.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final
from urllib.parse import unquote

from shadowproxy.config.problems import BadValueError
from shadowproxy.model.policy import Bind, Endpoint

MAX_UNIX_PATH: Final = 107
"""Bytes that `sun_path` takes on Linux, less its final NUL (unix(7))."""
UNIX_PEERS: Final = "unix"

_LABEL: Final = r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)"
_NAME: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?")
_HOST_PORT: Final = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[^\[\]:/]*))(?::(?P<port>[0-9]{1,5}))?")
_PORT_ALONE: Final = re.compile(r"(?:\*?:)?[0-9]+")
_SCHEMES: Final = {"http": 80, "https": 443}

_BIND_RIGHT: Final = "write host:port, [v6]:port or unix:/path, such as 127.0.0.1:8080"
_URL_RIGHT: Final = "write http://host:port, https://host:port or unix:/path"


def is_ip(host: str) -> bool:
    """Whether `host` (without brackets) is an IP literal."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_loopback(bind: Bind) -> bool:
    """Whether only this machine can reach the address: a Unix socket, `localhost` or a loopback IP."""
    if bind.unix or bind.host == "localhost":
        return True
    return is_ip(bind.host) and ipaddress.ip_address(bind.host).is_loopback


def overlap(one: Bind, other: Bind) -> bool:
    """Whether both cannot be listened on at once. Port 0 is any free port and overlaps nothing."""
    if one.unix or other.unix:
        return one.unix == other.unix
    if one.port != other.port or one.port == 0:
        return False
    hosts = {"127.0.0.1" if bind.host == "localhost" else bind.host for bind in (one, other)}
    if len(hosts) == 1 or "::" in hosts:
        return True
    return "0.0.0.0" in hosts and not any(":" in host for host in hosts)


def parse_bind(text: str) -> Bind:
    """`host:port`, `[v6]:port` or `unix:/path`; port 0 is any free one."""
    if text.startswith("unix:"):
        return Bind(unix=_unix_path(text.removeprefix("unix:"), "unix:/run/app.sock"))
    if _PORT_ALONE.fullmatch(text):
        raise BadValueError(
            "write the address too: 127.0.0.1:8080 for this machine alone, 0.0.0.0:8080 for every interface"
        )
    host, port = _host_port(text, _BIND_RIGHT)
    if port is None:
        raise BadValueError(_BIND_RIGHT)
    return Bind(host, port)


def parse_url(text: str) -> Endpoint:
    """One URL of an upstream: a scheme, a host and maybe a port, or a Unix socket; no path, no query, no user."""
    for prefix in ("http+unix:", "unix:"):
        if text.startswith(prefix):
            rest = text.removeprefix(prefix)
            path = unquote(rest.removeprefix("//").rstrip("/")) if rest.startswith("//") else rest
            return Endpoint(url=f"unix:{path}", unix=_unix_path(path, "unix:/run/app.sock"))
    scheme, separator, rest = text.partition("://")
    if not separator:
        raise BadValueError(f"{_URL_RIGHT}: the scheme is missing" if "/" not in text else _URL_RIGHT)
    scheme = scheme.lower()
    if scheme not in _SCHEMES:
        raise BadValueError(f"{_URL_RIGHT}: these schemes are all there are")
    if "@" in rest:
        raise BadValueError(
            "take the user and the password out of the URL; use shadow.headers to set credentials of a copy"
        )
    if "?" in rest or "#" in rest or "/" in rest.removesuffix("/"):
        raise BadValueError(f"{_URL_RIGHT} without a path or a query: the client's target is passed on as it came")
    host, port = _host_port(rest.removesuffix("/"), _URL_RIGHT)
    if port == 0:
        raise BadValueError("write a port from 1 to 65535")
    if host in {"0.0.0.0", "::"}:
        raise BadValueError("this is an address to listen on: write one to connect to, such as 127.0.0.1")
    port = port or _SCHEMES[scheme]
    return Endpoint(url=f"{scheme}://{Bind(host, port)}", scheme=scheme, host=host, port=port)


def parse_network(text: str) -> str:
    """A peer that is believed: a network in CIDR notation, an IP, or `unix` for every peer on a Unix socket."""
    if text == UNIX_PEERS:
        return text
    try:
        return str(ipaddress.ip_network(text))
    except ValueError:
        pass
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise BadValueError("write an IP, a network such as 10.0.0.0/8, or the word unix") from None
    raise BadValueError(f"the address goes past its prefix length: write {network}")


def parse_host(text: str) -> str:
    """A Host name as requests carry it, in lower case, without a port: a name, an IPv4 or a bracketed IPv6 literal."""
    return _host(text, "write one host name without a port or a wildcard, such as checkout.example")


def parse_hosts(text: str) -> str:
    """One Host name, or `*.` and a domain for every name below it."""
    right = "write a host name without a port, such as checkout.example, or *.example for every name below example"
    if text.startswith("*."):
        return "*." + _host(text[2:], right)
    return _host(text, right)


def _host(text: str, right: str) -> str:
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if ":" in bare and bare is not text and is_ip(bare):
        return text.lower()
    if not text or not _NAME.fullmatch(text) or len(text) > 253:
        raise BadValueError(right)
    return text.lower().removesuffix(".")


def _host_port(text: str, right: str) -> tuple[str, int | None]:
    found = _HOST_PORT.fullmatch(text)
    if found is None:
        bare = text.count(":") > 1 and (is_ip(text) or is_ip(text.rpartition(":")[0]))
        raise BadValueError("put an IPv6 address in brackets, as in [::1]:8080" if bare else right)
    host = found["v6"] if found["v6"] is not None else found["host"].lower()
    if found["v6"] is not None:
        if not is_ip(host):
            raise BadValueError(f"{right}: the address in brackets is no IPv6 address")
        host = str(ipaddress.ip_address(host))
    elif not _NAME.fullmatch(host) or len(host) > 253:
        raise BadValueError(f"{right}: the host is neither a name (ASCII; punycode for others) nor an address")
    elif re.fullmatch(r"[0-9.]+", host) and not is_ip(host):
        raise BadValueError(f"{right}: an IPv4 address has four numbers from 0 to 255")
    port = int(found["port"]) if found["port"] is not None else None
    if port is not None and port > 65535:
        raise BadValueError("write a port up to 65535")
    return host, port


def _unix_path(path: str, example: str) -> str:
    if not path or "\0" in path:
        raise BadValueError(f"write the path of a socket, such as {example}")
    if len(path.encode(errors="surrogateescape")) > MAX_UNIX_PATH:
        raise BadValueError(f"write a path of at most {MAX_UNIX_PATH} bytes: the kernel takes no longer ones")
    return path
