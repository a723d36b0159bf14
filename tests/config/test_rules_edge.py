"""Rules about listening addresses, certificates and the admin API."""

from __future__ import annotations

from pathlib import Path

import pytest

from shadowproxy.config import Overrides
from tests.config.builders import MIRRORED, PLAIN, loaded, problems, said

TOKENS = "tokens: [{name: a, role: viewer, token: abcdef0123456789}]"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("listen: 127.0.0.1:9900", "listen: is the address of admin.listen as well: write another one"),
        ("listen: ['127.0.0.1:1', '0.0.0.0:1']", "listen[1]: is the address of listen[0] as well: write another one"),
        ("admin: {listen: localhost:8080}", "admin.listen: is the address of listen as well: write another one"),
        ("probe: {listen: 0.0.0.0:9900}", "probe.listen: is the address of admin.listen as well: write another one"),
        ("metrics: {listen: 127.0.0.1:9901}", "metrics.listen: is the address of probe.listen as well: write another"),
        ("listen: []", "listen: is empty: write at least one address, such as 127.0.0.1:8080"),
    ],
)
def test_two_listeners_cannot_share_an_address(text: str, message: str, tmp_path: Path) -> None:
    [found] = said(tmp_path, PLAIN + text)
    assert found.startswith(message)


@pytest.mark.parametrize(
    ("listen", "url", "own"),
    [
        ("127.0.0.1:8080", "http://localhost:8080", True),
        ("127.0.0.1:8080", "http://127.0.0.1:8081", False),
        ("0.0.0.0:8080", "http://127.0.0.1:8080", True),
        ("0.0.0.0:8080", "http://10.0.0.1:8080", False),
        ("10.0.0.1:8080", "http://10.0.0.1:8080", True),
        ("app.example:80", "http://app.example", True),
        ("unix:a.sock", "unix:a.sock", True),
        ("unix:a.sock", "unix:b.sock", False),
        ("127.0.0.1:0", "http://127.0.0.1:8080", False),
    ],
)
def test_an_upstream_is_not_this_proxy(listen: str, url: str, own: bool, tmp_path: Path) -> None:
    found = said(tmp_path, f"listen: '{listen}'\nupstreams: {{primary: {{urls: ['{url}']}}}}")
    message = "upstreams.primary.urls[0]: is where this proxy listens: write the service's own address"
    assert found == ([message] if own else [])


def test_the_default_address_is_no_upstream_either(tmp_path: Path) -> None:
    [found] = said(tmp_path, "upstreams: {primary: {urls: [http://localhost:8080]}}")
    assert "is where this proxy listens" in found


def test_any_free_port_can_be_asked_for_twice(tmp_path: Path) -> None:
    assert said(tmp_path, PLAIN + "listen: 127.0.0.1:0\nadmin: {listen: 127.0.0.1:0}") == []


@pytest.mark.parametrize("address", ["0.0.0.0:9900", "[::]:9900", "10.0.0.1:9900", "admin.example:9900"])
def test_an_admin_listener_that_others_reach_must_ask_who_they_are(address: str, tmp_path: Path) -> None:
    [found] = said(tmp_path, PLAIN + f"admin: {{listen: '{address}'}}")
    assert found == (
        "admin.listen: can be reached from elsewhere: add admin.tokens or admin.tls.client_ca, or listen on 127.0.0.1"
    )
    assert said(tmp_path, PLAIN + f"admin: {{listen: '{address}', tokens: []}}") == [found]
    got = loaded(tmp_path, PLAIN + f"admin: {{listen: '{address}', {TOKENS}}}")
    assert len(got.warnings) == 1
    assert "tokens cross the network in the clear: add admin.tls" in got.warnings[0]


@pytest.mark.parametrize("address", ["127.0.0.1:9900", "[::1]:9900", "localhost:9900", "unix:/tmp/admin.sock"])
def test_an_admin_listener_of_this_machine_needs_no_token(address: str, tmp_path: Path) -> None:
    assert loaded(tmp_path, PLAIN + f"admin: {{listen: '{address}'}}").warnings == ()


def test_a_mistake_in_a_token_is_not_reported_as_its_absence(tmp_path: Path) -> None:
    assert [
        line.split(": ")[0]
        for line in said(tmp_path, PLAIN + "admin: {listen: 0.0.0.0:1, tokens: [{name: a, role: x}]}")
    ] == ["admin.tokens[0].token", "admin.tokens[0].role"]


def test_tokens_that_are_no_list_are_not_reported_as_absent(tmp_path: Path) -> None:
    [found] = said(tmp_path, PLAIN + "admin: {listen: 0.0.0.0:1, tokens: oncall}")
    assert found.startswith("admin.tokens: must be a list")


def test_tokens_and_their_names_are_each_one_of_a_kind(tmp_path: Path) -> None:
    one = "{name: a, role: viewer, token: same}"
    assert said(tmp_path, PLAIN + f"admin: {{tokens: [{one}, {one}]}}") == [
        "admin.tokens[1].name: is the name of item 1 as well: write another one",
        "admin.tokens[1].token: is the token of item 1 as well: write another one",
    ]


@pytest.mark.parametrize("token", ["''", "a b", "'ü'", "5", "[x]", '"a\\nb"'])
def test_a_token_that_cannot_be_sent_is_refused_and_never_shown(token: str, tmp_path: Path) -> None:
    [found] = said(tmp_path, PLAIN + f"admin: {{tokens: [{{name: a, role: viewer, token: {token}}}]}}")
    assert found.startswith("admin.tokens[0].token: cannot be used: ")


def test_tls_is_not_spoken_on_unix_sockets(tmp_path: Path, tls: dict[str, Path]) -> None:
    identity = f"{{cert: {tls['cert']}, key: {tls['key']}}}"
    assert said(tmp_path, PLAIN + f"listen: unix:/tmp/a.sock\ntls: {identity}") == [
        "listen: tls is not spoken on a Unix socket: delete tls, or listen on host:port"
    ]
    assert said(tmp_path, PLAIN + f"admin: {{listen: 'unix:/tmp/a.sock', tls: {identity}}}") == [
        "admin.tls: tls is not spoken on a Unix socket: delete it, or listen on host:port"
    ]


def test_certificates_that_can_be_used(tmp_path: Path, tls: dict[str, Path]) -> None:
    text = f"""\
tls:
  - {{cert: {tls["cert"]}, key: {tls["key"]}, client_ca: {tls["ca"]}}}
  - {{cert: {tls["cert"]}, key: {tls["key"]}, names: [a.example, "*.b.example"], client_ca: {tls["ca"]}}}
admin:
  listen: 0.0.0.0:9900
  tls: {{cert: {tls["cert"]}, key: {tls["key"]}, client_ca: {tls["ca"]}}}
"""
    got = loaded(tmp_path, PLAIN + text)
    assert got.warnings == ()
    assert got.policy.tls[1].names == ("a.example", "*.b.example")
    assert got.policy.tls[0].cert == str(tls["cert"])
    assert got.launch.admin.cert is not None
    assert got.launch.admin.cert.client_required


@pytest.mark.parametrize(
    ("section", "path", "message"),
    [
        ("{cert: CERT}", "tls.key", "is missing: its private key, without a passphrase"),
        ("{key: KEY}", "tls.cert", "is missing: the certificate with its chain"),
        ("{cert: CERT, key: absent.key}", "tls.key", "there is no such file"),
        ("{cert: '.', key: KEY}", "tls.cert", "this is no regular file: name a PEM file"),
        ("{cert: CERT, key: OTHER}", "tls.cert", "certificate and key cannot be used (they do not belong together)"),
        ("{cert: KEY, key: KEY}", "tls.cert", "certificate and key cannot be used (not PEM, or damaged)"),
        ("{cert: CERT, key: LOCKED}", "tls.cert", "its key asks for a passphrase: write a key without one"),
        ("{cert: CERT, key: KEY, client_ca: KEY}", "tls.client_ca", "holds no usable certificate"),
        ("{cert: CERT, key: KEY, client_required: true}", "tls.client_required", "needs client_ca beside it"),
        ("[]", "tls", "is empty: write cert and key, or delete it"),
        ("[{cert: CERT, key: KEY}, {cert: CERT, key: KEY}]", "tls[1].names", "is missing: only the first"),
        ("[{cert: CERT, key: KEY, names: [a, a]}]", "tls[0].names[1]", "has a certificate already"),
        (
            "[{cert: CERT, key: KEY, names: [a]}, {cert: CERT, key: KEY, names: [b, a]}]",
            "tls[1].names[1]",
            "has a certificate already: delete the name here",
        ),
    ],
)
def test_certificates_that_cannot_be_used(
    section: str, path: str, message: str, tmp_path: Path, tls: dict[str, Path]
) -> None:
    for name, file in tls.items():
        section = section.replace(name.upper(), str(file))
    [problem] = problems(tmp_path, PLAIN + f"tls: {section}")
    assert problem.path == path
    assert problem.message.startswith(message)


def test_a_file_that_may_not_be_read_is_said_to_be_so(
    tmp_path: Path, tls: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from shadowproxy.config import certificates

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    assert certificates.unreadable(tls["cert"]) == "the file cannot be read (Permission denied): let this user read it"


@pytest.mark.parametrize(
    ("tls_section", "path", "message"),
    [
        ("{cert: CERT}", "upstreams.primary.tls.cert", "needs key beside it"),
        ("{key: KEY}", "upstreams.primary.tls.key", "needs cert beside it"),
        ("{verify: false, ca: CA}", "upstreams.primary.tls.ca", "is not used while verify is false"),
        ("{ca: KEY}", "upstreams.primary.tls.ca", "holds no usable certificate"),
        ("{server_name: '*.a'}", "upstreams.primary.tls.server_name", 'cannot be "*.a": write one host name'),
    ],
)
def test_tls_towards_an_upstream(
    tls_section: str, path: str, message: str, tmp_path: Path, tls: dict[str, Path]
) -> None:
    for name, file in tls.items():
        tls_section = tls_section.replace(name.upper(), str(file))
    [problem] = problems(tmp_path, f"upstreams: {{primary: {{urls: [https://a], tls: {tls_section}}}}}")
    assert problem.path == path
    assert problem.message.startswith(message)


def test_tls_towards_an_upstream_that_does_not_speak_it(tmp_path: Path) -> None:
    assert said(tmp_path, "upstreams: {primary: {urls: [http://a], tls: {verify: false}}}") == [
        "upstreams.primary.tls: no URL here begins with https://: change the URLs, or delete it"
    ]


def test_an_upstream_that_anyone_can_pose_as_is_a_warning(tmp_path: Path, tls: dict[str, Path]) -> None:
    identity = f"{{verify: false, cert: {tls['cert']}, key: {tls['key']}}}"
    got = loaded(tmp_path, f"upstreams: {{primary: {{urls: [https://a], tls: {identity}}}}}")
    [warning] = got.warnings
    assert warning.endswith("upstreams.primary.tls.verify: anyone on the way can pose as this upstream")
    assert got.policy.services[0].upstreams["primary"].tls.cert == str(tls["cert"])


def test_files_that_are_written_have_a_place(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert said(tmp_path, PLAIN + "data_dir: file") == [
        "data_dir: is no directory: write the path of one, which is made when it is absent"
    ]

    def text(path: str) -> str:
        return PLAIN + f"access_log: {{path: {path}, sample: 5%}}"

    for path in (".", "absent/access.log"):
        [found] = said(tmp_path, text(path))
        assert found.startswith("access_log.path: is no file in a directory that exists")
    assert said(tmp_path, text("access.log")) == []
    assert loaded(tmp_path, text("access.log")).policy.access_log.path == str(tmp_path / "access.log")
    assert loaded(tmp_path, text("'-'")).policy.access_log.path == "-"
    [found] = said(tmp_path, PLAIN + "access_log: {path: access.log}")
    assert found.startswith("access_log.sample: is missing")


def test_the_command_line_is_checked_alike(tmp_path: Path) -> None:
    [problem] = problems(tmp_path, MIRRORED, Overrides(admin="0.0.0.0:9900"))
    assert str(problem).startswith("command line:1:1: --admin: can be reached from elsewhere")


def test_certificates_of_one_listener_ask_clients_for_the_same(tmp_path: Path, tls: dict[str, Path]) -> None:
    identity = f"cert: {tls['cert']}, key: {tls['key']}"
    both = f"tls:\n  - {{{identity}}}\n  - {{{identity}, names: [a.example], client_ca: {tls['ca']}}}\n"
    assert said(tmp_path, PLAIN + both) == [
        "tls[1]: asks clients for something else than the first: client_ca and client_required hold for all names"
    ]
