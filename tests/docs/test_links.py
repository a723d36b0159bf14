"""Every link in the documents leads to something that is there, and every document is reached from the first."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from tests.docs.documents import DOCUMENTS, ROOT

LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)(?:\s+\"[^\"]*\")?\)")
DEFINED = re.compile(r"^\[([\w-]+)\]: (\S+)$", re.MULTILINE)
CODE = re.compile(r"^```.*?^```|`[^`\n]*`", re.MULTILINE | re.DOTALL)
PAGES = [*DOCUMENTS, ROOT / "CHANGELOG.md"]


def links(path: Path) -> Iterator[str]:
    text = CODE.sub("", path.read_text(encoding="utf-8"))
    yield from LINK.findall(text)
    yield from (target for _, target in DEFINED.findall(text))


def anchors(path: Path) -> set[str]:
    """The names of a page's headings, as GitHub makes them."""
    found: dict[str, int] = {}
    names = set()
    for heading in re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```", "", path.read_text(), flags=re.M | re.S), re.M):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
        names.add(slug if slug not in found else f"{slug}-{found[slug]}")
        found[slug] = found.get(slug, 0) + 1
    return names


def test_links_within_lead_to_a_file_and_to_a_heading_in_it() -> None:
    broken = []
    for page in PAGES:
        for link in links(page):
            if re.match(r"\w+:", link):
                continue
            target, _, anchor = link.partition("#")
            path = (page.parent / target).resolve() if target else page
            if not path.exists() or (anchor and path.suffix == ".md" and anchor not in anchors(path)):
                broken.append(f"{page.relative_to(ROOT)}: {link}")
    assert broken == []


def test_links_by_name_have_one() -> None:
    for page in PAGES:
        text = CODE.sub("", page.read_text(encoding="utf-8"))
        used = set(re.findall(r"\]\[([\w-]+)\]", text))
        assert (str(page.relative_to(ROOT)), used) == (
            str(page.relative_to(ROOT)),
            {name for name, _ in DEFINED.findall(text)},
        )


def test_links_to_elsewhere_are_whole_and_safe() -> None:
    outside = [link for page in PAGES for link in links(page) if re.match(r"\w+:", link)]
    here = "http://127.0.0.1:9900/"  # the proxy of whoever reads it
    outside = [link for link in outside if not link.startswith(here)]
    assert [link for link in outside if not re.fullmatch(r"https://[\w.-]+\.[a-z]+(/\S*)?", link)] == []


def test_every_document_is_reached_from_the_first_page() -> None:
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached or page.suffix != ".md":
            continue
        reached.add(page)
        for link in links(page):
            path = (page.parent / link.partition("#")[0]).resolve()
            waiting += sorted(path.glob("*.md")) if path.is_dir() else [path] if path.is_file() else []
    assert [str(page.relative_to(ROOT)) for page in PAGES if page not in reached] == []


def test_every_picture_is_shown() -> None:
    shown = {(page.parent / link.partition("#")[0]).resolve() for page in PAGES for link in links(page)}
    assert sorted(set((ROOT / "docs" / "images").iterdir()) - shown) == []


def test_names_of_headings_are_those_that_github_makes(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A `page`, with *words*\n## Same\n## Same\n```sh\n# none\n```\n## See [this](b.md)\n")
    assert anchors(page) == {"a-page-with-words", "same", "same-1", "see-this"}
