"""One page: nothing loaded, nothing run, every cited line linked both ways."""

import base64
import hashlib
import re
from html.parser import HTMLParser

from view_texts import HOSTILE, XEN

from tablefull.fixes.diagnosis import Diagnosis, diagnose
from tablefull.parsers.reader import read_text
from tablefull.views import html


class _Page(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def _xen() -> str:
    text = XEN.read_text("utf-8")
    snapshot = read_text(text, "xen-dom0.txt")
    return html.render(diagnose(snapshot), snapshot, {"xen-dom0.txt": text.splitlines()}, rules=True)


def _hostile() -> str:
    name = '"><script>alert(2)</script>.txt'
    snapshot = read_text(HOSTILE, name)
    return html.render(diagnose(snapshot), snapshot, {name: HOSTILE.splitlines()}, rules=True)


def test_tags_are_balanced_and_ids_are_unique() -> None:
    for page in (_xen(), _hostile()):
        parsed = _Page(page)
        assert not parsed.open
        ids = [attributes["id"] for _, attributes in parsed.tags if "id" in attributes]
        assert len(ids) == len(set(ids))


def test_every_link_leads_to_a_place_on_the_page() -> None:
    for page in (_xen(), _hostile()):
        tags = _Page(page).tags
        ids = {attributes.get("id") for _, attributes in tags}
        links = [attributes["href"] for tag, attributes in tags if tag == "a"]
        assert links
        assert all(link is not None and link.startswith("#") and link[1:] in ids for link in links)


def test_nothing_is_loaded_and_nothing_runs() -> None:
    for page in (_xen(), _hostile()):
        tags = _Page(page).tags
        assert {tag for tag, _ in tags} & {"script", "link", "img", "iframe", "object", "form"} == set()
        for _, attributes in tags:
            assert not [name for name in attributes if name.startswith("on") or name in ("src", "style")]
        assert "url(" not in page


def test_the_policy_allows_the_one_style_and_nothing_else() -> None:
    page = _xen()
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert f"default-src 'none'; style-src 'sha256-{digest}'" in page


def test_all_evidence_is_on_the_page_and_cited_lines_are_marked() -> None:
    page = _xen()
    assert "The server is under about 10M hits / day load." in page
    assert '<li id="e1-38" class="cited">' in page
    assert 'href="#e1-38"' in page


def test_hostile_evidence_is_text() -> None:
    page = _hostile()
    assert "<script>" not in page
    assert "onerror=alert(1)&gt;" in page
    assert "\x1b" not in page
    assert "\u202e" not in page


def test_a_long_text_keeps_its_cited_lines_and_says_what_is_missing() -> None:
    filler = ["[1.0] eth0: link is up"] * 6000
    lines = [*filler, "[9000.0] nf_conntrack: table full, dropping packet.", *filler]
    snapshot = read_text("\n".join(lines), "log")
    page = html.render(diagnose(snapshot), snapshot, {"log": lines[: html.MOST_LINES]})
    assert "nf_conntrack: table full" in page
    assert "lines not shown" in page
    assert page.count("<li ") < html.MOST_LINES + 500


def test_without_texts_the_lines_of_facts_are_shown(xen: Diagnosis) -> None:
    snapshot = read_text(XEN.read_text("utf-8"), "xen-dom0.txt")
    assert "nf_conntrack: table full, dropping packet." in html.render(xen, snapshot, {})
