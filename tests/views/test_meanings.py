"""The pages about causes and fixes, and that the committed ones are what the code says."""

from pathlib import Path

import pytest
from view_texts import ROOT

from tablefull.fixes.meanings import MEANINGS
from tablefull.rules.meanings import CAUSES
from tablefull.views import meanings

FOLDER = Path(ROOT) / "docs" / "causes"


def test_committed_pages_are_current() -> None:
    committed = {path.name: path.read_text("utf-8") for path in FOLDER.glob("*.md")}
    assert committed == meanings.pages(), "run scripts/docs-causes"


def test_there_is_a_page_for_each_id_and_its_link_leads_there() -> None:
    pages = meanings.pages()
    assert {f"{name}.md" for name in (*CAUSES, *MEANINGS)} < pages.keys()
    for name in (*CAUSES, *MEANINGS):
        assert f"[{name}]({name}.md)" in pages["README.md"]


@pytest.mark.parametrize("name", [*CAUSES, *MEANINGS])
def test_every_page_has_all_its_sections(name: str) -> None:
    plain = meanings.one(name, 80).plain()
    for heading, text in meanings.sections(name):
        assert heading in plain
        assert text.strip()
    assert all(len(line) <= 80 for line in plain.splitlines())


@pytest.mark.parametrize("width", [40, 80, 140])
def test_the_list_names_them_all(width: int) -> None:
    plain = meanings.everything(width).plain()
    assert all(name in plain for name in (*CAUSES, *MEANINGS))


def test_an_id_there_is_not() -> None:
    with pytest.raises(KeyError):
        meanings.sections("nonsense")
