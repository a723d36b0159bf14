"""Rules of the repository that linters cannot express."""

from __future__ import annotations

import ast
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from shadowproxy.config import Overrides, load
from shadowproxy.config.flag_file import examine
from shadowproxy.model.policy import Registry

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "shadowproxy").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])

MAX_LINES = 450
"""Files are near 300 lines; past this one is several."""
MAX_FUNCTION = 60
STARTS_TASKS = ROOT / "shadowproxy" / "upstream" / "tasks.py"


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def calls(path: Path) -> Iterator[str]:
    """What is called, as written, such as `loop.create_task`."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func)


def test_files_and_functions_stay_readable() -> None:
    long = [name(path) for path in SOURCES if len(path.read_text().splitlines()) > MAX_LINES]
    long += [
        f"{name(path)}: {function.name}"
        for path in SOURCES
        for function in functions(path)
        if (function.end_lineno or 0) - function.lineno >= MAX_FUNCTION
    ]
    assert long == []


def groups(path: Path) -> set[str]:
    """Names that `async with asyncio.TaskGroup() as name` binds: such a group keeps its tasks."""
    return {
        ast.unparse(item.optional_vars)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.AsyncWith)
        for item in node.items
        if item.optional_vars and ast.unparse(item.context_expr) == "asyncio.TaskGroup()"
    }


def test_a_task_is_started_where_its_reference_is_kept() -> None:
    bare = []
    for path in SOURCES:
        kept = {f"{group}.create_task" for group in groups(path)}
        started = [what for what in calls(path) if re.search(r"\b(create_task|ensure_future)$", what)]
        bare += [f"{name(path)}: {what}" for what in started if path != STARTS_TASKS and what not in kept]
    assert bare == []


def test_exceptions_from_the_linters_state_their_reason() -> None:
    bare = re.compile(r"#\s*(noqa(: [A-Z0-9, ]+)?|type: ignore(\[[\w, -]+\])?|pragma: no cover)\s*$")
    assert offences(SOURCES, bare) == []


def test_nothing_is_left_for_later() -> None:
    assert offences(SOURCES, re.compile(r"\b(?:TODO|FIXME|XXX|NotImplementedError)\b")) == []


def offences(paths: list[Path], pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{name(path)}:{number}: {line.strip()}"
        for path in paths
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if pattern.search(line)
    ]


def test_only_e2e_tests_sleep() -> None:
    # sleep(0) waits for nobody: it lets other tasks have their turn. On a FakeLoop no time passes.
    sleeping = re.compile(r"\b(time|asyncio)\.sleep\((?!0\))")
    paths = [path for path in TESTS if "e2e" not in path.parts and "FakeLoop" not in path.read_text()]
    assert offences(paths, sleeping) == []


def test_tests_mirror_the_package() -> None:
    rooms = {path.parent.relative_to(ROOT / "tests").parts[0] for path in TESTS if path.parent != ROOT / "tests"}
    package = {path.name for path in (ROOT / "shadowproxy").iterdir() if path.is_dir()}
    assert rooms - package - {"benchmarks", "deploy", "docs", "e2e", "fakes", "laws", "tools"} == set()
    assert [name(path.parent) for path in TESTS if not (path.parent / "__init__.py").is_file()] == []


def test_the_configuration_on_the_first_page_is_one_that_starts(tmp_path: Path) -> None:
    first, rollout, flags = re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    shutil.copy(ROOT / "config" / "flags.json", tmp_path)
    path = tmp_path / "readme.yaml"
    path.write_text(first.replace("\nshadow:\n", "\n" + flags) + rollout)
    policy = load(path, Overrides(), Registry(), {}).policy
    (service,) = policy.services
    assert examine(policy).problems == ()
    assert service.other.shadow.flags == {"new-checkout": "on"}
    assert [route.name for route in service.routes] == ["item"]
    assert service.rollout is not None
    assert [stage.name for stage in service.rollout.stages] == ["mirror", "go", "first users", "ramp"]


def test_links_and_named_files_lead_somewhere() -> None:
    missing = []
    for path in DOCUMENTS:
        text = path.read_text()
        targets = [path.parent / link for link in re.findall(r"\]\((?!https?://|#)([^)#]+)", text)]
        targets += [
            ROOT / each for each in re.findall(r"`((?:shadowproxy|docs|tests|config|benchmarks)/[\w./-]+)`", text)
        ]
        missing += [f"{name(path)}: {target}" for target in targets if not target.exists()]
    assert missing == []
