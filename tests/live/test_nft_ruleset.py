"""The kernel's rule set as facts: nft writes it, the kernel holds it, and its own listing is the judge."""

from collections.abc import Callable

import pytest
from tests.realkernel.table_space import TableSpace, table_space

from tablefull.facts.origin import Hole
from tablefull.facts.ruleset import FwChain, FwListing, FwObject, FwRule
from tablefull.live import nft_ruleset

LISTING = """table ip nat { # handle 1
\tchain post { # handle 2
\t\ttype nat hook postrouting priority srcnat; policy accept;
\t\toifname "ct" masquerade # handle 7
\t}
}
table inet my filter {
\tchain in {
\t\tcomment "# handle 3"
\t\tct state established accept comment "x # handle 9" # handle 4
\t}
}
"""


def test_lines_by_table_and_handle() -> None:
    found = nft_ruleset.spoken(LISTING)
    assert found["ip", "nat", 7] == 'oifname "ct" masquerade'
    assert found["inet", "my filter", 4] == 'ct state established accept comment "x # handle 9"'


def nft(space: TableSpace, text: str) -> None:
    space.run("nft", "-f", "-", text=text)


@pytest.mark.realkernel
def test_as_the_kernel_holds_it(program: Callable[[str], str]) -> None:
    program("nft")
    with table_space() as space:
        nft(
            space,
            """
            table ip t {
              ct helper ftp { type "ftp" protocol tcp; }
              set s { type ipv4_addr; flags dynamic; }
              chain post { type nat hook postrouting priority 100; oifname "ct" masquerade comment "ct state new"; }
              chain idle { ct state established accept; notrack; add @s { ip saddr ct count over 3 }; };
            }
            table inet d { flags dormant; chain c { ct mark set 1; }; }
            """,
        )
        listing = space.run("nft", "-a", "list", "ruleset")
        facts = nft_ruleset.read(space.path, listing)
        assert isinstance(facts, list)
        rules = [fact for fact in facts if isinstance(fact, FwRule)]
        assert [(one.family, one.table, one.chain) for one in rules] == [
            *(("ip", "t", name) for name in ("post", "idle", "idle", "idle")),
            ("inet", "d", "c"),
        ]
        assert "masquerade" in rules[0].text
        assert "ct" not in rules[0].text.split()
        assert rules[0].origin.text == 'oifname "ct" masquerade comment "ct state new"'
        assert "ct state" in rules[1].text
        assert "notrack" in rules[2].text
        assert "ct count" in rules[3].text
        assert "ct mark set" in rules[4].text
        chains = {one.chain: one for one in facts if isinstance(one, FwChain)}
        assert (chains["post"].hook, chains["post"].kind) == ("postrouting", "nat")
        assert chains["idle"].hook is None
        assert [one.kind for one in facts if isinstance(one, FwObject)] == ["ct helper"]
        tables = {(one.family, one.table, one.dormant) for one in facts if isinstance(one, FwListing)}
        assert tables == {("ip", "t", False), ("inet", "d", True)}
        assert len(rules) == listing.count("# handle") - len(chains) - 2 - 1 - 1  # tables, a helper, a set


@pytest.mark.realkernel
def test_a_namespace_that_is_gone_is_a_hole() -> None:
    assert isinstance(nft_ruleset.read("/run/netns/nobody-has-this"), Hole)


@pytest.mark.realkernel
def test_no_rules_are_no_facts() -> None:
    with table_space() as space:
        assert nft_ruleset.read(space.path) == []
