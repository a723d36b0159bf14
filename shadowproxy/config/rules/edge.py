"""Rules about what the proxy listens on: addresses, certificates, who may use the admin API."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path as FilePath

from shadowproxy.config import document as doc
from shadowproxy.config.addresses import is_loopback, overlap
from shadowproxy.config.certificates import identity_problem, unreadable
from shadowproxy.config.findings import Findings
from shadowproxy.config.problems import Path
from shadowproxy.config.rules.common import once, sections, upstreams
from shadowproxy.model import policy as p


def listeners(document: doc.Document, findings: Findings) -> None:
    """No two listeners on one address."""
    if document.listen == ():
        findings.wrong(("listen",), "is empty: write at least one address, such as 127.0.0.1:8080")
    taken = [(path, bind) for path, bind in _listening(document) if not findings.is_blamed(path)]
    for index, (path, bind) in enumerate(taken):
        for earlier, other in taken[:index]:
            if overlap(bind, other):
                # What was written is blamed, not a default that it meets.
                here, there = (path, earlier) if findings.stands(path) else (earlier, path)
                findings.wrong(here, f"is the address of {findings.name(there)} as well: write another one")


def _listening(document: doc.Document) -> Iterator[tuple[Path, p.Bind]]:
    launch = p.Launch()
    if document.listen is None:
        yield from ((("listen",), bind) for bind in launch.listen)
    else:
        yield from ((("listen", index), bind) for index, bind in enumerate(document.listen))
    for name, section, default in (
        ("admin", document.admin, launch.admin.bind),
        ("probe", document.probe, launch.probe),
        ("metrics", document.metrics, launch.metrics),
    ):
        bind = section.listen if section is not None and section.listen is not None else default
        if bind is not None:
            yield (name, "listen"), bind


def no_circle(document: doc.Document, findings: Findings) -> None:
    """No upstream is this proxy itself."""
    listening = p.Launch().listen if document.listen is None else document.listen
    for path, upstream in upstreams(document):
        for index, url in enumerate(upstream.urls or ()):
            there = p.Bind(url.host, url.port, url.unix)
            # A wildcard covers this machine's addresses, of which only the loopback ones are known here.
            own = any(overlap(bind, there) and (bind.host == there.host or is_loopback(there)) for bind in listening)
            if own:
                findings.wrong((*path, "urls", index), "is where this proxy listens: write the service's own address")


def files(document: doc.Document, findings: Findings) -> None:
    """Places that are written to can be there."""
    if document.data_dir is not None and _is_other(findings.base / document.data_dir):
        findings.wrong(("data_dir",), "is no directory: write the path of one, which is made when it is absent")
    log = document.access_log
    if log is None or log.path is None or log.path == p.AccessLogPolicy().path:
        return
    if log.sample is None:
        findings.lacks(("access_log",), "sample", "is missing: without it nothing is logged; write 100% for all")
    path = findings.base / log.path
    if path.is_dir() or not path.parent.is_dir():
        findings.wrong(("access_log", "path"), "is no file in a directory that exists: write the path of one, or -")


def _is_other(path: FilePath) -> bool:
    return path.exists() and not path.is_dir()


def certificates(document: doc.Document, findings: Findings) -> None:
    """Certificates that are there, readable, and belong to their keys."""
    for path, section in sections(document):
        if isinstance(section, doc.ClientCertificates):
            if section.client_required is not None and section.client_ca is None:
                findings.wrong(
                    (*path, "client_required"), "needs client_ca beside it: who signs the clients' certificates"
                )
            _identity(path, section.cert, section.key, section.client_ca, "client_ca", findings)
        elif isinstance(section, doc.UpstreamTls):
            for one, other in (("cert", "key"), ("key", "cert")):
                if section.has(one) and not section.has(other):
                    findings.wrong((*path, one), f"needs {other} beside it")
            if section.verify is False and section.ca is not None:
                findings.wrong((*path, "ca"), "is not used while verify is false: delete one of them")
            _identity(path, section.cert, section.key, section.ca, "ca", findings)


def _identity(path: Path, cert: str | None, key: str | None, ca: str | None, ca_name: str, findings: Findings) -> None:
    readable = True
    for name, file in (("cert", cert), ("key", key), (ca_name, ca)):
        why = unreadable(findings.base / file) if file is not None else None
        if why is not None:
            readable = False
            findings.wrong((*path, name), why)
    if readable:
        pair = (findings.base / cert, findings.base / key) if cert is not None and key is not None else None
        found = identity_problem(pair, findings.base / ca if ca is not None else None)
        if found is not None:
            findings.wrong((*path, ca_name if found.in_ca else "cert"), found.message)


def tls_where_it_works(document: doc.Document, findings: Findings) -> None:
    """TLS is asked for only where it is spoken, and every certificate has names of its own."""
    if document.tls is not None and not document.tls:
        findings.wrong(("tls",), "is empty: write cert and key, or delete it")
    unix = [index for index, bind in enumerate(document.listen or ()) if bind.unix]
    if document.tls and unix:
        findings.wrong(("listen", unix[0]), "tls is not spoken on a Unix socket: delete tls, or listen on host:port")
    admin = document.admin
    if admin is not None and admin.tls is not None and admin.listen is not None and admin.listen.unix:
        findings.wrong(
            ("admin", "tls"), "tls is not spoken on a Unix socket: delete it, or listen on host:port", at_key=True
        )
    names: dict[str, int] = {}
    for index, certificate in enumerate(document.tls or ()):
        for at, name in enumerate(certificate.names or ()):
            if names.setdefault(name, index) != index or (certificate.names or ()).index(name) != at:
                findings.wrong(("tls", index, "names", at), "has a certificate already: delete the name here")
        first = (document.tls or ())[0]
        if (certificate.client_ca, certificate.client_required) != (first.client_ca, first.client_required):
            message = "asks clients for something else than the first: client_ca and client_required hold for all names"
            findings.wrong(("tls", index), message)
        if index and not certificate.names:
            findings.lacks(("tls", index), "names", "is missing: only the first certificate serves without them")
    for arm_path, upstream in upstreams(document):
        if upstream.tls is not None and upstream.urls and all(url.scheme != "https" for url in upstream.urls):
            findings.wrong(
                (*arm_path, "tls"), "no URL here begins with https://: change the URLs, or delete it", at_key=True
            )


def admin_access(document: doc.Document, findings: Findings) -> None:
    """An admin listener that others can reach asks who they are."""
    admin = document.admin
    if admin is None:
        return
    once(("admin", "tokens"), "name", [token.name for token in admin.tokens or ()], "the name", findings)
    once(("admin", "tokens"), "token", [token.token for token in admin.tokens or ()], "the token", findings)
    if admin.listen is None or is_loopback(admin.listen):
        return
    tls = admin.tls
    asks_certificates = tls is not None and tls.client_ca is not None and tls.client_required is not False
    if not admin.tokens and not asks_certificates:
        message = "can be reached from elsewhere: add admin.tokens or admin.tls.client_ca, or listen on 127.0.0.1"
        if not findings.is_blamed(("admin", "tokens")) and not findings.is_blamed(("admin", "tls")):
            findings.wrong(("admin", "listen"), message)
    elif tls is None:
        findings.warn(("admin", "listen"), "tokens cross the network in the clear: add admin.tls")
