"""Certificates in front: chosen by name, asked of clients, offering HTTP/1.1 alone. Handshakes run in memory."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
import trustme

from shadowproxy.model.policy import CertificatePolicy
from shadowproxy.runtime.listeners import server_context


class Files:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ca = trustme.CA()
        self.ca.cert_pem.write_to_path(str(folder / "ca.pem"))

    def certificate(self, name: str, **rest: object) -> CertificatePolicy:
        path = str(self.folder / f"{name.replace('*', 'any')}.pem")
        self.ca.issue_cert(name).private_key_and_cert_chain_pem.write_to_path(path)
        return CertificatePolicy(path, path, (name,), **rest)  # type: ignore[arg-type]

    def shake(self, server: ssl.SSLContext | None, name: str, own: CertificatePolicy | None = None) -> ssl.SSLObject:
        """The client's side after a handshake for `name`. Raises ssl.SSLError where either side refuses."""
        assert server is not None
        context = ssl.create_default_context(cafile=str(self.folder / "ca.pem"))
        context.set_alpn_protocols(["h2", "http/1.1"])
        if own is not None:
            context.load_cert_chain(own.cert, own.key)
        to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = context.wrap_bio(to_client, to_server, server_hostname=name)
        serving = server.wrap_bio(to_server, to_client, server_side=True)
        open_sides = [client, serving]
        for _ in range(10):
            for side in list(open_sides):
                try:
                    side.do_handshake()
                    open_sides.remove(side)
                except ssl.SSLWantReadError:
                    pass
        assert not open_sides
        return client


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def names(client: ssl.SSLObject) -> list[str]:
    certificate = client.getpeercert()
    assert certificate is not None
    return [str(value) for _, value in certificate["subjectAltName"]]


def test_the_certificate_is_chosen_by_name_and_http_1_1_is_spoken(files: Files) -> None:
    context = server_context(
        [files.certificate("a.example"), files.certificate("b.example"), files.certificate("*.c.example")]
    )
    for asked, given in (("a.example", "a.example"), ("b.example", "b.example"), ("x.c.example", "*.c.example")):
        client = files.shake(context, asked)
        assert names(client) == [given]
        assert client.selected_alpn_protocol() == "http/1.1"


def test_an_unknown_name_gets_the_first_certificate(files: Files) -> None:
    context = server_context([files.certificate("a.example"), files.certificate("b.example")])
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        files.shake(context, "z.example")


def test_clients_are_asked_for_a_certificate(files: Files) -> None:
    ca = str(files.folder / "ca.pem")
    own = files.certificate("client.example")
    required = server_context([files.certificate("a.example", client_ca=ca)])
    with pytest.raises(ssl.SSLError, match=r"(?i)certificate"):
        files.shake(required, "a.example")
    files.shake(required, "a.example", own)
    optional = server_context([files.certificate("a.example", client_ca=ca, client_required=False)])
    files.shake(optional, "a.example")


@pytest.mark.parametrize("strict_first", [True, False])
def test_no_name_leads_around_the_clients_certificate(files: Files, strict_first: bool) -> None:
    ca = str(files.folder / "ca.pem")
    strict, open_to_all = files.certificate("strict.example", client_ca=ca), files.certificate("open.example")
    with pytest.raises(ssl.SSLError, match="client_ca differs"):
        server_context([strict, open_to_all] if strict_first else [open_to_all, strict])
    both = [files.certificate(name, client_ca=ca) for name in ("strict.example", "open.example")]
    with pytest.raises(ssl.SSLError, match=r"(?i)certificate"):
        files.shake(server_context(both), "open.example")


def test_without_certificates_there_is_no_tls_and_bad_files_are_told(tmp_path: Path) -> None:
    assert server_context([]) is None
    with pytest.raises(OSError, match="No such file"):
        server_context([CertificatePolicy(str(tmp_path / "a.pem"), str(tmp_path / "a.pem"))])
