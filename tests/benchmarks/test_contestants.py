import pytest

from benchmarks.contestants import ENGINES, PEERS, render

VALUES = {
    "dir": "/nowhere",
    "port": 1,
    "admin_port": 2,
    "probe_port": 3,
    "primary": "127.0.0.1:4",
    "primary_host": "127.0.0.1",
    "primary_port": 4,
    "candidate": "127.0.0.1:5",
    "candidate_host": "127.0.0.1",
    "candidate_port": 5,
}
TEMPLATE = (
    "always @{port}\n  #mirror:to @{candidate}\n  #forward:alone\n# a comment with #mirror: in it\nmail@@example\n"
)


def test_lines_for_mirroring_are_switched_on_with_it() -> None:
    mirrored = render(TEMPLATE, mirror=True, values=VALUES)
    assert mirrored == "always 1\n  to 127.0.0.1:5\n# a comment with #mirror: in it\nmail@example\n"


def test_lines_for_forwarding_are_switched_on_without_it() -> None:
    assert render(TEMPLATE, mirror=False, values=VALUES).splitlines()[1] == "  alone"


def test_a_placeholder_without_a_value_is_an_error() -> None:
    with pytest.raises(KeyError, match="port"):
        render(TEMPLATE, mirror=True, values={"candidate": "x"})


@pytest.mark.parametrize(
    ("template", "mirrors"), [(engine.template, engine.mirrors) for engine in ENGINES.values() if engine.template]
)
def test_every_template_knows_its_candidate_only_where_it_mirrors(template: str, mirrors: bool) -> None:
    text = (PEERS / template).read_text()
    assert "127.0.0.1:5" not in render(text, mirror=False, values=VALUES)
    mirrored = render(text, mirror=True, values=VALUES)
    assert ("127.0.0.1:5" in mirrored or "port_value: 5" in mirrored) is mirrors
