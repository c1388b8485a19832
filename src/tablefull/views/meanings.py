"""The pages about causes and fixes: on the terminal, and as the Markdown files of ``docs/causes``.

The trap: documentation beside the code drifts away from it. These pages are made from the tables that the rules and the
plans use, and a test compares the committed files with what is made here.
"""

from tablefull.fixes.meanings import MEANINGS
from tablefull.rules.meanings import CAUSES
from tablefull.views.terminal import Page

Section = tuple[str, str]


def sections(name: str) -> list[Section]:
    """(heading, text) of a cause or a fix; an id that is neither is a KeyError."""
    if name in CAUSES:
        cause = CAUSES[name]
        return [
            ("What happens", cause.explanation),
            ("How to recognise it", cause.recognise),
            ("What it is not", cause.not_this),
            ("Where this is known from", cause.source + "."),
        ]
    fix = MEANINGS[name]
    return [
        ("What it does", fix.does),
        ("When it is right", fix.right),
        ("When it is wrong", fix.wrong),
        ("What it costs", fix.costs),
        ("Where this is known from", fix.source.rstrip(".") + "."),
    ]


def headline(name: str) -> str:
    """The whole cause or fix in one sentence."""
    sentence = f"{CAUSES[name].meaning}." if name in CAUSES else MEANINGS[name].sentence
    return sentence[:1].upper() + sentence[1:]


def one(name: str, width: int) -> Page:
    """The page of one id."""
    page = Page(width)
    page.add((name, "title"), (" (a cause)" if name in CAUSES else " (a fix)", "dim"))
    page.blank()
    page.text(headline(name), "strong", indent=0)
    for heading, text in sections(name):
        page.title(heading)
        page.text(text)
    return page


def everything(width: int) -> Page:
    """Every cause and every fix, a sentence each."""
    page = Page(width)
    for title, ids in (("CAUSES", list(CAUSES)), ("FIXES", list(MEANINGS))):
        page.title(title)
        left = max(len(name) for name in ids) + 2
        for name in ids:
            if page.width - left < 40:
                page.text(name, "strong")
                page.text(headline(name), indent=6)
            else:
                page.text(headline(name), lead=name.ljust(left), lead_style="strong")
    page.blank()
    page.text("`tablefull explain ID` says more about each.", "dim", indent=0)
    return page


def pages() -> dict[str, str]:
    """File name → Markdown of ``docs/causes``."""
    files = {f"{name}.md": _markdown(name) for name in [*CAUSES, *MEANINGS]}
    files["README.md"] = _index()
    return files


def _markdown(name: str) -> str:
    kind = "cause" if name in CAUSES else "fix"
    parts = [f"# {name}", f"A {kind}. {_plain(headline(name))}"]
    parts += [f"## {heading}\n\n{_plain(text)}" for heading, text in sections(name)]
    return "\n\n".join(parts) + "\n"


def _index() -> str:
    made = (
        "One page for each id that a diagnosis can name. They are made by `scripts/docs-causes` from the tables in "
        "`rules/meanings.py` and `fixes/meanings.py`; `tablefull explain ID` prints the same."
    )
    parts = ["# Causes and fixes", made]
    for title, ids in (("Causes", list(CAUSES)), ("Fixes", list(MEANINGS))):
        rows = "\n".join(f"| [{name}]({name}.md) | {_plain(headline(name))} |" for name in ids)
        parts.append(f"## {title}\n\n| id | in a sentence |\n| --- | --- |\n{rows}")
    return "\n\n".join(parts) + "\n"


def _plain(text: str) -> str:
    """A sentence in Markdown that reads as it stands: nothing in it is markup."""
    for character in "\\`*_<>|[]":
        text = text.replace(character, "\\" + character)
    return text
