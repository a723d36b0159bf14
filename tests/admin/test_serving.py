from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from pathlib import Path

import aiohttp
import pytest
import trustme
from msgspec.structs import replace

from shadowproxy.admin.serving import Serving, bound_to
from shadowproxy.control.state import State
from shadowproxy.model.policy import AdminPolicy, Bind, CertificatePolicy


def listener() -> socket.socket:
    found = socket.create_server(("127.0.0.1", 0))
    found.setblocking(False)
    return found


def test_where_a_listener_is_bound(tmp_path: Path) -> None:
    with listener() as tcp, socket.socket(socket.AF_UNIX) as unix:
        assert bound_to(tcp) == Bind("127.0.0.1", tcp.getsockname()[1])
        unix.bind(str(tmp_path / "s"))
        assert bound_to(unix) == Bind(unix=str(tmp_path / "s"))


@pytest.fixture
def authority(tmp_path: Path) -> trustme.CA:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    renew(authority, tmp_path)
    return authority


def renew(authority: trustme.CA, place: Path) -> bytes:
    issued = authority.issue_cert("localhost")
    issued.cert_chain_pems[0].write_to_path(place / "cert.pem")
    issued.private_key_pem.write_to_path(place / "key.pem")
    return ssl.PEM_cert_to_DER_cert(issued.cert_chain_pems[0].bytes().decode())


def secured(state: State, place: Path, **more: object) -> State:
    files = {name: str(place / f"{name}.pem") for name in ("cert", "key")}
    state.launch = replace(state.launch, admin=AdminPolicy(cert=CertificatePolicy(**files, **more)))  # type: ignore[arg-type]
    return state


async def get(port: int, context: ssl.SSLContext) -> tuple[int, bytes]:
    """The status of an answer and the certificate that came with it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")
    try:
        writer.write(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        status = int((await reader.readline()).split()[1])
        return status, writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def test_tls_with_a_certificate_that_can_be_renewed(state: State, authority: trustme.CA, tmp_path: Path) -> None:
    serving = Serving(secured(state, tmp_path))
    admin, metrics = listener(), listener()
    await serving.start(admin, metrics)
    context = ssl.create_default_context(cadata=authority.cert_pem.bytes().decode())
    port = admin.getsockname()[1]
    assert (await get(port, context))[0] == 503
    certificate = renew(authority, tmp_path)
    serving.reload_certificate()
    assert (await get(port, context))[1] == certificate
    async with aiohttp.ClientSession() as session:
        plain = f"http://127.0.0.1:{metrics.getsockname()[1]}/metrics"
        async with session.get(plain) as found:
            assert found.status == 200
    await serving.stop()


@pytest.mark.parametrize("required", [True, False])
async def test_client_certificates(state: State, authority: trustme.CA, tmp_path: Path, required: bool) -> None:
    serving = Serving(secured(state, tmp_path, client_ca=str(tmp_path / "ca.pem"), client_required=required))
    admin = listener()
    await serving.start(admin, None)
    port = admin.getsockname()[1]
    context = ssl.create_default_context(cadata=authority.cert_pem.bytes().decode())
    if required:
        with pytest.raises((OSError, IndexError)):
            await get(port, context)
    authority.issue_cert("ann@example.org").configure_cert(context)
    assert (await get(port, context))[0] == 503
    await serving.stop()


async def test_without_a_certificate_there_is_none_to_reload(state: State) -> None:
    serving = Serving(state)
    serving.reload_certificate()
    await serving.stop()
