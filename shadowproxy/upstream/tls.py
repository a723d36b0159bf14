"""TLS contexts, towards upstreams and in front. ALPN offers http/1.1 only.

Verification of upstreams is on unless the policy says otherwise.
"""

from __future__ import annotations

import ssl

from shadowproxy.model.policy import CertificatePolicy, UpstreamTls


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


def certificate_context(certificate: CertificatePolicy) -> ssl.SSLContext:
    """TLS 1.2 or later; with `client_ca` a client certificate is demanded or, if not required, asked for.

    Raises OSError or ssl.SSLError when a file cannot be read or used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    context.load_cert_chain(certificate.cert, certificate.key)
    if certificate.client_ca:
        context.load_verify_locations(certificate.client_ca)
        context.verify_mode = ssl.CERT_REQUIRED if certificate.client_required else ssl.CERT_OPTIONAL
    return context
