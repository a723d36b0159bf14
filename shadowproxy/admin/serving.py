"""Put the applications on their listening sockets, with TLS where it is configured."""

from __future__ import annotations

import socket
import ssl

from aiohttp import web

from shadowproxy.admin.api import application, metrics_application
from shadowproxy.control.state import State
from shadowproxy.model.policy import Bind
from shadowproxy.upstream.tls import certificate_context

SHUTDOWN_SECONDS = 0.5
"""What running requests get when control ends; followers of events have been let go before."""


class Serving:
    """The admin listener, and the metrics listener where there is one."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._runners: list[web.AppRunner] = []
        self._tls: ssl.SSLContext | None = None

    async def start(self, admin: socket.socket, metrics: socket.socket | None) -> None:
        """Serve. Raises OSError or ssl.SSLError for a certificate that cannot be used."""
        certificate = self._state.launch.admin.cert
        self._tls = certificate_context(certificate) if certificate else None
        await self._serve(application(self._state, bound_to(admin)), admin, self._tls)
        if metrics:
            await self._serve(metrics_application(self._state), metrics, None)

    async def stop(self) -> None:
        self._state.watchers.end()
        self._state.flags.watchers.end()
        for runner in self._runners:
            await runner.cleanup()

    def reload_certificate(self) -> None:
        """Read the certificate's files again, for new connections. Raises OSError, ssl.SSLError."""
        certificate = self._state.launch.admin.cert
        if certificate and self._tls:
            self._tls.load_cert_chain(certificate.cert, certificate.key)

    async def _serve(self, app: web.Application, listener: socket.socket, tls: ssl.SSLContext | None) -> None:
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_SECONDS)
        await runner.setup()
        self._runners.append(runner)
        await web.SockSite(runner, listener, ssl_context=tls).start()


def bound_to(listener: socket.socket) -> Bind:
    name = listener.getsockname()
    return Bind(unix=name) if listener.family == socket.AF_UNIX else Bind(host=name[0], port=name[1])
