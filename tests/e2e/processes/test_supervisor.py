"""The real supervisor over small roles: starts, deaths, signals, reloads, drains, and what is left behind."""

from __future__ import annotations

import os
import signal
import socket
import time
from contextlib import suppress
from pathlib import Path

from shadowproxy.metrics import layout as at
from tests.e2e.harness import eventually, get
from tests.e2e.processes.conftest import Starter, Tree, launch


def places_left(short: Path) -> list[Path]:
    return [path for path in short.iterdir() if path.name.startswith("shadowproxy-")]


# Start.


def test_everything_serves_and_says_where(trees: Starter) -> None:
    tree = trees(workers=2)
    assert tree.addresses["listen"][0].startswith("http://127.0.0.1:")
    assert tree.probe("/healthz") == (200, "ok")
    assert tree.probe("/readyz") == (200, "ok")
    abouts = tree.abouts(2)
    assert {about["block"] for about in abouts.values()} == {0, 1}
    assert {about["comm"] for about in abouts.values()} == {"shadowproxy:w0", "shadowproxy:w1"}
    assert abouts[0]["sequence"] == 1
    assert abouts[0]["epoch"]


def test_problems_of_the_configuration_are_one_line_each_and_exit_code_2(trees: Starter) -> None:
    tree = trees({"problems": ["a.yaml:1:2: listen: is wrong", "a.yaml:3:4: workers: is wrong"]}, ready=False)
    assert tree.wait() == 2
    lines = (tree.directory / "log").read_text().splitlines()
    assert lines == ["a.yaml:1:2: listen: is wrong", "a.yaml:3:4: workers: is wrong"]


def test_a_reader_that_crashes_at_the_start_is_one_line_and_exit_code_2(trees: Starter) -> None:
    tree = trees({"crash": True}, ready=False)
    assert tree.wait() == 2
    text = (tree.directory / "log").read_text()
    assert text == "the process that reads the configuration ended without an answer\n"


def test_a_port_that_is_taken_is_one_line_and_exit_code_2(trees: Starter, short: Path) -> None:
    first = trees(workers=2)
    port = int(first.url.rpartition(":")[2])
    for key, value in {
        "listen": [{"host": "127.0.0.1", "port": port}],
        "admin": {"bind": {"host": "127.0.0.1", "port": int(first.addresses["admin"].rpartition(":")[2])}},
        "probe": {"host": "127.0.0.1", "port": int(first.addresses["probe"].rpartition(":")[2])},
    }.items():
        second = trees(workers=2, ready=False, **{key: value})
        assert second.wait() == 2
        text = (second.directory / "log").read_text()
        assert text.startswith("listen 127.0.0.1:")
        assert text.endswith("Address already in use (is another instance running?)\n")
    assert len(places_left(short)) == 1
    assert first.about()["slot"] in {0, 1}


def test_an_address_that_is_not_ours_is_one_line_and_exit_code_2(trees: Starter) -> None:
    tree = trees(ready=False, listen=[{"host": "192.0.2.1", "port": 8080}])
    assert tree.wait() == 2
    assert (tree.directory / "log").read_text() == "listen 192.0.2.1:8080: Cannot assign requested address\n"


def test_a_unix_socket_is_shared_by_the_slots_and_removed_at_the_end(trees: Starter, tmp_path: Path) -> None:
    path = tmp_path / "app.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    tree = trees(workers=2, listen=[{"unix": str(path)}])
    assert tree.addresses["listen"] == [f"unix:{path}"]
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        client.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 200")
    second = trees(ready=False, listen=[{"unix": str(path)}])
    assert second.wait() == 2
    assert "already in use" in (second.directory / "log").read_text()
    tree.signal(signal.SIGTERM)
    assert tree.wait() == 0
    assert not path.exists()


# Death.


def test_a_killed_worker_is_back_with_its_books_in_order(trees: Starter) -> None:
    tree = trees(workers=2)
    abouts = tree.abouts(2)
    get(tree.url + "/sent?5")
    for slot in (0, 1):
        os.kill(abouts[slot]["pid"], signal.SIGKILL)
    started = time.monotonic()
    after = eventually(lambda: {s: a for s, a in tree.abouts(2).items() if a["pid"] != abouts[s]["pid"]})
    assert time.monotonic() - started < 5
    assert {slot: about["block"] for slot, about in after.items()} == {0: 0, 1: 1}
    about = after[0]
    assert (about["sent"], about["lost"]) == (5, 5)
    assert about["supervisor"][at.RESTARTS["worker"]] == 2
    assert tree.logged("copies in flight were lost with their worker")[0]["copies"] == 5


def test_siblings_serve_a_dead_workers_queue_until_it_is_back(trees: Starter) -> None:
    tree = trees(workers=2)
    for _ in range(4):  # the fourth is not replaced at once
        victim = tree.abouts(2)[1]["pid"]
        os.kill(victim, signal.SIGKILL)
        eventually(lambda pid=victim: pid not in tree.children("w1"))
    answers = [tree.about() for _ in range(30)]  # many of them hash to the dead slot
    assert {answer["slot"] for answer in answers} <= {0, 1}
    eventually(lambda: tree.abouts(2)[0]["slots"] == [0] and tree.abouts(2)[1]["slots"] == [1])


def test_ready_says_which_worker_is_missing(trees: Starter) -> None:
    tree = trees(workers=1)
    for _ in range(4):
        victim = tree.children("w0")[0]
        os.kill(victim, signal.SIGKILL)
        eventually(lambda pid=victim: pid not in tree.children("w0"))
        if _ < 3:
            eventually(lambda: tree.probe("/readyz")[0] == 200)
    assert tree.probe("/readyz") == (503, "worker 0 is starting")
    eventually(lambda: tree.probe("/readyz")[0] == 200)


def test_ready_notices_a_worker_that_hangs(trees: Starter) -> None:
    tree = trees(workers=1)
    (tree.directory / "data" / "no-heartbeat").touch()
    eventually(lambda: tree.probe("/readyz")[0] == 503)
    assert tree.probe("/readyz")[1] == "worker 0 has not been heard of for more than 5 s"
    assert tree.probe("/healthz")[0] == 200


def test_comparer_and_control_come_back_and_the_supervisor_counts_it(trees: Starter) -> None:
    tree = trees()
    old = {role: tree.children(role)[0] for role in ("c0", "ctl")}
    for pid in old.values():
        os.kill(pid, signal.SIGKILL)
    for role, pid in old.items():
        eventually(lambda r=role, p=pid: any(child != p for child in tree.children(r)))
    words = tree.about()["supervisor"]
    assert (words[at.RESTARTS["comparer"]], words[at.RESTARTS["control"]]) == (1, 1)


def test_a_worker_holds_nothing_that_is_not_its_own(trees: Starter) -> None:
    """Three streams, epoll, its commands and the listening sockets: no sibling's commands, no probe, no admin."""
    tree = trees(workers=2)
    for victim in tree.children("w"):
        os.kill(victim, signal.SIGKILL)
    about = eventually(lambda: [a for a in tree.abouts(2).values() if a["supervisor"][0] == 2])[0]
    sockets = [name for name in about["descriptors"] if name.startswith("socket:")]
    assert len(sockets) == 2 + 1 + 1, "one listening socket per slot, the commands, and this request"


# End.


def test_a_drain_turns_ready_off_goes_on_serving_and_ends_with_0(trees: Starter, short: Path) -> None:
    tree = trees(workers=2, drain_delay=1.0)
    tree.children()
    tree.signal(signal.SIGTERM)
    eventually(lambda: tree.probe("/readyz") == (503, "draining"))
    assert tree.probe("/healthz")[0] == 200
    assert tree.about()["draining"]
    assert tree.wait() == 0
    assert tree.survivors() == []
    assert [line.split()[1] for role in ("comparer", "control") for line in tree.notes(role)] == ["born", "quit"] * 2
    assert places_left(short) == []


def test_a_worker_that_does_not_end_is_killed_after_the_timeout(trees: Starter) -> None:
    tree = trees(workers=1, drain_timeout=0.5)
    with socket.create_connection(("127.0.0.1", int(tree.url.rpartition(":")[2]))) as client:
        client.sendall(b"GET /wait HTTP/1.1\r\n\r\n")
        eventually(lambda: tree.about()["slot"] == 0)
        started = time.monotonic()
        tree.signal(signal.SIGINT)
        assert tree.wait() == 0
        assert 1.5 <= time.monotonic() - started < 4
    assert tree.logged("killed")


def test_a_second_signal_ends_at_once(trees: Starter) -> None:
    tree = trees(workers=2, drain_delay=30.0, drain_timeout=30.0)
    tree.children()
    tree.signal(signal.SIGTERM)
    eventually(lambda: tree.probe("/readyz")[0] == 503)
    tree.signal(signal.SIGINT)
    assert tree.wait(3.0) == 128 + signal.SIGINT
    assert tree.survivors() == []


def test_the_echo_of_a_signal_is_no_second_one(trees: Starter) -> None:
    tree = trees(workers=1, drain_delay=0.6)
    tree.children()
    for _ in range(20):
        tree.signal(signal.SIGTERM)
    assert tree.wait() == 0


def test_nobody_survives_a_killed_supervisor(trees: Starter, short: Path) -> None:
    tree = trees(workers=2)
    assert len(tree.children()) == 4
    assert len(places_left(short)) == 1
    tree.process.kill()
    eventually(lambda: tree.survivors() == [])
    assert places_left(short) == [], "the last one out takes the private directory along"


def test_signals_to_the_whole_group_reach_only_the_supervisor(trees: Starter) -> None:
    tree = trees(workers=2, drain_delay=0.5)
    for pid in tree.children():
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
            os.kill(pid, number)
    before = tree.children()
    tree.abouts(2)
    assert tree.children() == before


# Rolling restart.


def test_a_rolling_restart_replaces_every_worker_and_loses_no_request(trees: Starter) -> None:
    tree = trees(workers=2)
    before = {about["pid"] for about in tree.abouts(2).values()}
    tree.signal(signal.SIGUSR1)

    def replaced() -> bool:
        assert tree.about()["slot"] in {0, 1}  # every request on the way is answered
        return not before & set(tree.children("w"))

    eventually(replaced)
    abouts = tree.abouts(2)
    assert {slot: about["block"] for slot, about in abouts.items()} == {0: 2, 1: 3}
    assert abouts[0]["supervisor"][at.RESTARTS["worker"]] == 0
    assert tree.probe("/readyz")[0] == 200


def test_sigusr2_without_a_rollout_is_said_and_ends_nothing(trees: Starter) -> None:
    tree = trees()
    tree.signal(signal.SIGUSR2)
    eventually(lambda: tree.logged("no users are sent back: no rollout is under way"))
    assert (tree.about()["slot"], tree.about()["sequence"]) == (0, 1)


# Reload.


def reload(tree: Tree, **document: object) -> None:
    tree.rewrite(**document)
    tree.signal(signal.SIGHUP)


def test_a_good_reload_reaches_everybody(trees: Starter) -> None:
    tree = trees()
    good = launch(tree.directory)
    reload(tree, launch=good, limits={"line": 4096}, names={"a.example": ["192.0.2.7"], "b.example": []})
    about = eventually(lambda: (a := tree.about())["sequence"] == 2 and a)
    assert about["line"] == 4096
    assert about["names"] == {"a.example": ["192.0.2.7"]}
    assert about["supervisor"][at.RELOADS_OK] == 1
    assert about["supervisor"][at.LAST_RELOAD_OK] == 1
    line = tree.logged("configuration reloaded")[0]
    assert (line["sequence"], line["changed"]) == (2, ["limits"])
    for role in ("comparer", "control"):
        eventually(lambda r=role: tree.notes(r)[-1].endswith("apply 2 []"))
    eventually((tree.directory / "data" / "policy.msgpack").exists)


def test_the_last_good_address_of_a_name_is_kept(trees: Starter) -> None:
    tree = trees()
    good = launch(tree.directory)
    reload(tree, launch=good, names={"a.example": ["192.0.2.7"]})
    eventually(lambda: tree.about()["sequence"] == 2)
    reload(tree, launch=good, names={"a.example": []})
    about = eventually(lambda: (a := tree.about())["sequence"] == 3 and a)
    assert about["names"] == {"a.example": ["192.0.2.7"]}


def test_names_found_by_control_reach_the_workers(trees: Starter) -> None:
    tree = trees()
    eventually(lambda: tree.about()["names"] == {"control.example": ["192.0.2.1"]})


def test_a_bad_reload_leaves_everything_as_it_was_and_says_so(trees: Starter) -> None:
    tree = trees()
    pid = tree.about()["pid"]
    reload(tree, problems=["x.yaml:1:1: a: bad", "x.yaml:2:1: b: bad"])
    eventually(lambda: tree.about()["supervisor"][at.RELOADS_FAILED] == 1)
    about = tree.about()
    assert (about["pid"], about["sequence"], about["supervisor"][at.LAST_RELOAD_OK]) == (pid, 1, 0)
    assert [line["problem"] for line in tree.logged("configuration not reloaded")] == [
        "x.yaml:1:1: a: bad",
        "x.yaml:2:1: b: bad",
    ]
    eventually(lambda: "apply 1 ['x.yaml:1:1: a: bad', 'x.yaml:2:1: b: bad']" in tree.notes("control")[-1])
    assert not any("apply" in note for note in tree.notes("comparer"))


def test_a_reader_that_crashes_is_a_failed_reload(trees: Starter) -> None:
    tree = trees()
    reload(tree, crash=True)
    eventually(lambda: tree.about()["supervisor"][at.RELOADS_FAILED] == 1)
    reload(tree, launch=launch(tree.directory))
    eventually(lambda: tree.about()["sequence"] == 2)


def test_a_reader_that_hangs_is_a_failed_reload(trees: Starter) -> None:
    tree = trees()
    reload(tree, hang=True)
    assert tree.probe("/readyz")[0] == 200
    eventually(lambda: tree.about()["supervisor"][at.RELOADS_FAILED] == 1)
    assert "longer than 10 s" in tree.logged("configuration not reloaded")[0]["problem"]
    assert tree.children("cfg") == []


def test_what_needs_a_restart_is_named_and_keeps_its_value(trees: Starter) -> None:
    tree = trees()
    reload(tree, launch=launch(tree.directory, drain_timeout=9.0))
    eventually(lambda: tree.logged("needs a restart: the old value stays"))
    assert tree.logged("needs a restart: the old value stays")[0]["key"] == "listen"


def test_a_policy_that_a_role_refuses_is_a_failed_reload_in_the_metrics(trees: Starter) -> None:
    tree = trees()
    reload(tree, launch=launch(tree.directory), limits={"line": 13})
    line = eventually(lambda: tree.logged("policy not put in force"))[0]
    assert (line["child"], line["why"]) == ("worker:0", "unwanted")
    assert tree.about()["supervisor"][at.LAST_RELOAD_OK] == 0


def test_a_storm_of_reloads_ends_with_the_last_file(trees: Starter) -> None:
    tree = trees()
    for line in range(100, 150):
        reload(tree, launch=launch(tree.directory), limits={"line": line})
        assert tree.about()["slot"] == 0
    eventually(lambda: tree.about()["line"] == 149)
    assert tree.about()["sequence"] <= 51


def test_paths_that_a_worker_tells_reach_control(trees: Starter) -> None:
    tree = trees()
    get(tree.url + "/see")
    eventually(lambda: any(note.endswith("paths [('default', b'/seen')]") for note in tree.notes("control")))


def learn(tree: Tree, *templates: str) -> None:
    """Let control say these templates: it is killed, and the one that follows finds them."""
    eventually(lambda: tree.notes("control"))  # born: it has looked for templates, and found none
    (tree.directory / "data" / "templates").write_text(" ".join(templates))
    [pid] = eventually(lambda: tree.children("ctl"))  # a fork has its name a moment later
    os.kill(pid, signal.SIGKILL)


def test_learned_templates_reach_everybody_as_a_new_policy(trees: Starter) -> None:
    tree = trees()
    learn(tree, "/a/{id}", "/b")
    about = eventually(lambda: (a := tree.about())["sequence"] == 2 and a)
    assert about["routes"] == {"/a/{id}": 1, "/b": 2}
    for role in ("comparer", "control"):
        eventually(lambda r=role: tree.notes(r)[-1].endswith("apply 2 []"))
    [line] = tree.logged("learned templates are routes now")
    assert (line["sequence"], line["templates"]) == (2, {"default": ["/a/{id}", "/b"]})
    with suppress(OSError):
        get(tree.url + "/die")
    assert eventually(lambda: (a := tree.about())["pid"] != about["pid"] and a)["routes"] == about["routes"]
    learn(tree, "/b", "/c")
    assert eventually(lambda: (a := tree.about())["sequence"] == 3 and a)["routes"] == {**about["routes"], "/c": 3}


def test_templates_wait_for_the_end_of_a_reload_which_gives_out_rows_as_well(trees: Starter) -> None:
    tree = trees()
    reload(tree, launch=launch(tree.directory), limits={"line": 4096}, slow=0.7)
    learn(tree, "/a")
    about = eventually(lambda: (a := tree.about())["sequence"] == 3 and a)
    assert (about["line"], about["routes"]) == (4096, {"/a": 1})
    assert [
        tree.logged(event)[0]["sequence"] for event in ("configuration reloaded", "learned templates are routes now")
    ] == [
        2,
        3,
    ]
    reload(tree, problems=["x.yaml:1:1: a: bad"], slow=0.7)
    learn(tree, "/b")
    about = eventually(lambda: (a := tree.about())["sequence"] == 4 and a)
    assert about["routes"] == {"/a": 1, "/b": 2}


def test_templates_that_find_no_place_are_said(trees: Starter) -> None:
    tree = trees()
    learn(tree, *(f"/t{i}" for i in range(203)))
    assert len(eventually(lambda: (a := tree.about())["sequence"] == 2 and a)["routes"]) == 200
    learn(tree, *(f"/t{i}" for i in range(203)))
    lines = eventually(
        lambda: len(said := tree.logged("no place for learned templates: they stay in `other`")) > 1 and said
    )
    assert [(line["service"], line["templates"]) for line in lines] == [("default", 3)] * 2
    assert tree.about()["sequence"] == 2, "what is there already is no new policy"
