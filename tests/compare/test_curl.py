from __future__ import annotations

import shlex

from shadowproxy.compare.curl import curl_command

HOST = ("Host", "shop.example:8080")


def words(
    method: str, target: str, fields: list[tuple[str, str]], body: str = "", *, binary: bool = False
) -> list[str]:
    return shlex.split(curl_command(method, target, fields, body, binary=binary))


def test_a_get_goes_to_its_host_with_its_fields() -> None:
    assert words("GET", "/a?b=c&d=$(x)", [HOST, ("Accept", "text/html"), ("X-Empty", "")]) == [
        "curl", "-sS", "-i", "--globoff", "--path-as-is", "http://shop.example:8080/a?b=c&d=$(x)",
        "-H", "Accept: text/html", "-H", "X-Empty;",
    ]  # fmt: skip


def test_what_curl_or_the_hop_adds_is_left_out() -> None:
    fields = [
        ("Content-Length", "5"),
        ("Connection", "close"),
        ("Transfer-Encoding", "chunked"),
        ("Expect", "100-continue"),
    ]
    assert words("GET", "/", fields)[-1] == "http://localhost/"


def test_methods_and_bodies() -> None:
    assert words("POST", "/", [HOST], "it's @home")[-2:] == ["--data-raw", "it's @home"]
    assert "-X" not in words("POST", "/", [HOST], "a")
    assert words("PUT", "/", [HOST], "a")[5:7] == ["-X", "PUT"]
    assert words("POST", "/", [HOST])[5:7] == ["-X", "POST"]
    assert "--head" in words("HEAD", "/", [HOST])
    assert words("POST", "/", [HOST], "(5 bytes)", binary=True)[-2:] == ["--data-binary", "@body.bin"]


def test_compression_is_undone_where_it_was_asked_for() -> None:
    assert words("GET", "/", [HOST, ("Accept-Encoding", "gzip")])[-3:] == [
        "--compressed",
        "-H",
        "Accept-Encoding: gzip",
    ]


def test_targets_of_other_forms() -> None:
    assert words("OPTIONS", "*", [HOST])[-3:] == ["--request-target", "*", "http://shop.example:8080/"]
    assert words("GET", "http://a.example/x", [HOST])[-1] == "http://a.example/x"


def test_a_command_is_text_without_nul() -> None:
    command = curl_command("POST", "/", [HOST], "a\0b\udcff", binary=False)
    assert "\0" not in command
    assert command.encode().endswith("a␀b?'".encode())
