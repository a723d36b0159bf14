"""`shadowproxy health`: what a container's health check runs. It needs no curl in the image."""

from __future__ import annotations

import http.client
from typing import Annotated

import typer

from shadowproxy.cli.client import ClientError, connection_to, fail, reason_of

TIMEOUT = 1.0
"""Seconds. The probe listener answers out of the supervisor's memory: whoever takes longer is not well."""
UNHEALTHY = 1

Probe = Annotated[
    str, typer.Option("--probe", metavar="ADDR", envvar="SHADOWPROXY_PROBE", help="host:port, unix:PATH or a URL.")
]


def health(
    probe: Probe = "127.0.0.1:9901",
    ready: Annotated[bool, typer.Option("--ready", help="Ask whether it takes traffic, not whether it lives.")] = False,
) -> None:
    """Ask the probe listener: exits 0 when it is well, 1 when it is not or does not answer within a second."""
    try:
        status, text = ask(probe, "/readyz" if ready else "/healthz")
    except ClientError as error:
        fail(str(error))
    except (OSError, http.client.HTTPException) as error:
        fail(f"nobody answers at {probe}: {reason_of(error)}; probe.listen says where it is, see --probe", UNHEALTHY)
    if status != http.client.OK:
        fail(f"{probe} answers {status}: {text}", UNHEALTHY)
    print(text)


def ask(address: str, path: str) -> tuple[int, str]:
    """Status and text of one GET. Raises ClientError for what is no address, OSError and HTTPException."""
    connection = connection_to(address, port=9901, timeout=TIMEOUT, option="--probe")
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, " ".join(response.read(1024).decode(errors="replace").split())
    finally:
        connection.close()
