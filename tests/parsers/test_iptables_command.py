import pytest

from tablefull.parsers.iptables_command import choose_table, read_command, table_of_chains


@pytest.mark.parametrize(
    ("command", "tool", "tables"),
    [
        ("iptables -L -t nat -v", "iptables", ("nat",)),
        ("sudo /sbin/ip6tables -nvt raw -L", "ip6tables", ("raw",)),
        ("iptables-legacy --table=mangle -S", "iptables", ("mangle",)),
        ("iptables -L -t nat; iptables -L", "iptables", ("nat", None)),
        ("cat foo", None, ()),
        (None, None, ()),
    ],
)
def test_tool_and_tables(command, tool, tables):
    found = read_command(command)
    assert (found.tool, found.tables) == (tool, tables)


def test_chains_have_the_last_word():
    nat = {"PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"}
    assert table_of_chains(nat) == "nat"
    assert choose_table(read_command("iptables -L"), nat) == "nat"
    assert choose_table(read_command("iptables -L -t nat; iptables -L"), {"INPUT", "FORWARD", "OUTPUT"}) == "filter"
    assert table_of_chains({"PREROUTING", "OUTPUT"}) == "raw"
    assert table_of_chains({"PREROUTING"}) is None
