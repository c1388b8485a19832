"""Plans and journals as a person reads them."""

from fix_plans import EVIL, PLAN, hostile

from tablefull.fixes.act import HostPlan, Predicted
from tablefull.fixes.journal import ActDone, Journal
from tablefull.views import fix_text


def journal(**fields: object) -> Journal:
    return Journal(id="3", plan=PLAN, made_at=0.0, boot_id="b", confirm_within_s=60.0, **fields)  # type: ignore[arg-type]


def test_every_step_says_before_after_risk_undo_effect() -> None:
    text = fix_text.plans([PLAN], 100, "sudo tablefull fix {} --apply").plain()
    for said in (
        "1. nf_conntrack_max  (the whole host)", "before    65536", "after     262144", "risk      64 MiB of memory.",
        "undo      65536 again", "entries 65,536 → 90,000, +1.0 MiB of kernel memory (the twin)",
        "verify    cat /proc/sys/net/netfilter/nf_conntrack_max", "2. a table  (this network namespace)",
        "entries where proto=udp and unreplied, 12 at the moment", "done once you confirm",
        "net.netfilter.nf_conntrack_max = 262144", "- kube-proxy writes it again", "Nothing was changed.",
        "sudo tablefull fix raise-max --apply",
    ):  # fmt: skip
        assert said in text


def test_what_is_refused_says_why_and_offers_nothing_to_type() -> None:
    text = fix_text.plans(
        [HostPlan(fix="notrack", host="h", title="t", refused="rule 3 translates it")], 80, "do {}"
    ).plain()
    assert "Not offered here: rule 3 translates it" in text
    assert "do notrack" not in text


def test_unknown_is_said() -> None:
    assert fix_text.predicted(Predicted(how="nobody counted")) == "unknown (nobody counted)"


def test_nothing_of_a_stranger_acts_on_the_terminal() -> None:
    text = fix_text.plans([hostile()], 80, "").plain()
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "\\x1b" in text
    assert EVIL not in text


def test_what_was_seen_and_what_to_type() -> None:
    seen = journal(seen=["every value reads as planned"], deadline_at=60.0)
    text = fix_text.applied(seen, [], "tablefull fix --confirm 3 --state /srv/x", 100).plain()
    assert "every value reads as planned" in text
    assert "sudo tablefull fix --confirm 3 --state /srv/x" in text
    assert "are written when you confirm" in text
    against = fix_text.applied(journal(seen=["no answer"]), ["no answer"], "", 100).plain()
    assert "it is being undone" in against
    assert "--confirm" not in against


def test_an_end_says_why_and_what_was_left() -> None:
    one = journal(state="partly-undone", why="asked for", acts=[ActDone(0, 0, "left", note="max reads 9: it is left")])
    text = fix_text.ended(one, 100).plain()
    assert "undone, except what somebody else had changed" in text
    assert "Why: asked for." in text
    assert "max reads 9" in text


def test_history_begins_with_the_latest() -> None:
    first, second = journal(state="undone", why="not confirmed"), journal(state="confirmed")
    second.id = "4"
    text = fix_text.history([first, second], 100).plain()
    assert text.index("   4  ") < text.index("   3  ")
    assert "not confirmed" in text
    assert "No fix was applied" in fix_text.history([], 100).plain()
