"""TLS towards upstreams verifies unless told otherwise."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
import trustme

from shadowproxy.model.policy import UpstreamTls
from shadowproxy.upstream.tls import client_context


def test_verification_is_on_by_default_and_off_only_on_demand() -> None:
    context = client_context(UpstreamTls())
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    context = client_context(UpstreamTls(verify=False))
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_NONE, False)
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2


def test_an_authority_and_a_client_certificate_are_read_from_files(tmp_path: Path) -> None:
    ca = trustme.CA()
    identity = ca.issue_cert("proxy.example")
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    identity.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "own.pem"))
    own = str(tmp_path / "own.pem")
    context = client_context(UpstreamTls(ca=str(tmp_path / "ca.pem"), cert=own, key=own))
    assert len(context.get_ca_certs()) == 1
    with pytest.raises(OSError, match="No such file"):
        client_context(UpstreamTls(cert=str(tmp_path / "absent.pem"), key=own))
