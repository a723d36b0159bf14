"""TLS contexts towards upstreams. Verification is on unless the policy says otherwise; ALPN offers http/1.1 only."""

from __future__ import annotations

import ssl

from shadowproxy.model.policy import UpstreamTls


def client_context(policy: UpstreamTls) -> ssl.SSLContext:
    """Raises OSError or ssl.SSLError when a file cannot be read or used."""
    context = ssl.create_default_context(cafile=policy.ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    if not policy.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if policy.cert:
        context.load_cert_chain(policy.cert, policy.key)
    return context
