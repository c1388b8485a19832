import pytest
from live_trees import host

from tablefull.fixes.act import Command
from tablefull.fixes.packet_rules import NftChain, Rule
from tablefull.fixes.rule_acts import (
    CannotRule,
    counted,
    families,
    leftovers,
    listings,
    nft_text,
    put_in,
    spelling,
    spelling_or_none,
    taken,
    waits,
)

RULES = (
    Rule("raw", "PREROUTING", "-p udp --dport 53 -j NOTRACK"),
    Rule("raw", "OUTPUT", "-p udp --sport 53 -j NOTRACK"),
    Rule("filter", "INPUT", "-p udp --dport 53 -j ACCEPT", ("ipv4",)),
)
CHAINS = (NftChain("prerouting", "prerouting", -300, ("udp dport 53 notrack",)),)


@pytest.mark.parametrize(
    ("tree", "how"), [("ubuntu-12.04", "legacy"), ("rhel-6", "legacy"), ("debian-12", "nft"), ("alpine", "legacy")]
)
def test_each_host_is_spoken_to_in_its_own_words(tmp_path, tree: str, how: str) -> None:
    assert spelling(host(tmp_path, tree)) == how


def test_firewalld_before_its_nft_backend_is_asked_to_keep_the_rules(tmp_path) -> None:
    one = host(tmp_path / "old", "rhel-6", files={"proc/7/comm": "firewalld\n"})
    assert spelling(one) == "firewalld"
    acts = put_in(one, "tablefull_x", "what", RULES[:1], CHAINS)
    assert acts[0].do[0].argv == (
        *("firewall-cmd", "--direct", "--add-rule", "ipv4", "raw", "PREROUTING", "0"),
        *("-p", "udp", "--dport", "53", "-j", "NOTRACK"),
    )
    assert acts[0].done.argv[2] == "--query-rule"
    assert acts[0].undo[0].argv[2] == "--remove-rule"
    assert acts[1].do[0].argv[3] == "ipv6"
    nft = "table inet firewalld {\n\tchain filter_INPUT {\n\t\ttype filter hook input priority 10; policy accept;\n\t}\n}\n"
    new = host(tmp_path / "new", "debian-12", files={"proc/7/comm": "firewalld\n"}, nft=nft)
    assert (new.front_end, spelling(new)) == ("firewalld", "nft")


def test_an_empty_table_of_the_old_iptables_does_not_make_it_the_hosts(tmp_path) -> None:
    files = {
        "proc/net/ip_tables_names": "filter\n",
        "usr/sbin/xtables-nft-multi": "",
        "usr/sbin/iptables-legacy": "",
    }
    one = host(tmp_path / "empty", "debian-12", files=files)
    (tmp_path / "empty/usr/sbin/iptables").symlink_to("xtables-nft-multi")
    assert spelling(one) == "nft"
    rules = {"ip filter": ":INPUT ACCEPT [0:0]\n[0:0] -A INPUT -p tcp -j ACCEPT\n"}
    two = host(tmp_path / "used", "debian-12", files=files, rules=rules)
    (tmp_path / "used/usr/sbin/iptables").symlink_to("xtables-nft-multi")
    assert spelling(two) == "legacy"


def test_without_a_program_no_rule(tmp_path) -> None:
    one = host(tmp_path, "debian-12", files={"usr/sbin/nft": None})
    with pytest.raises(CannotRule, match="neither iptables nor nft"):
        spelling(one)
    assert spelling_or_none(one) is None


def test_the_old_iptables_takes_one_transaction_a_table_and_family(tmp_path) -> None:
    acts = put_in(host(tmp_path, "ubuntu-12.04"), "tablefull_notrack", "exempt", RULES, CHAINS)
    assert [act.do[0].argv for act in acts] == [
        ("iptables-restore", "--noflush"),
        ("iptables-restore", "--noflush"),
        ("ip6tables-restore", "--noflush"),
    ]
    assert acts[0].do[0].stdin == (
        "*raw\n"
        ":tablefull_notrack_pre - [0:0]\n"
        ":tablefull_notrack_out - [0:0]\n"
        "-A tablefull_notrack_pre -p udp --dport 53 -j NOTRACK\n"
        "-A tablefull_notrack_out -p udp --sport 53 -j NOTRACK\n"
        "-I PREROUTING 1 -j tablefull_notrack_pre\n"
        "-I OUTPUT 1 -j tablefull_notrack_out\n"
        "COMMIT\n"
    )
    assert acts[0].undo[0].stdin == (
        "*raw\n"
        "-D PREROUTING -j tablefull_notrack_pre\n"
        "-D OUTPUT -j tablefull_notrack_out\n"
        "-F tablefull_notrack_pre\n"
        "-X tablefull_notrack_pre\n"
        "-F tablefull_notrack_out\n"
        "-X tablefull_notrack_out\n"
        "COMMIT\n"
    )


def test_a_table_that_is_not_there_is_not_asked(tmp_path) -> None:
    """``iptables -L`` makes the table that it lists, so the kernel's list of tables is read first."""
    one = host(tmp_path, "ubuntu-12.04")
    acts = put_in(one, "tablefull_notrack", "exempt", RULES, CHAINS)
    assert acts[0].first == (Command(("grep", "-qx", "raw", "/proc/net/ip_tables_names")),)
    assert acts[2].first == (Command(("grep", "-qx", "raw", "/proc/net/ip6_tables_names")),)
    assert acts[0].done.argv == ("iptables", "-t", "raw", "-n", "-L", "tablefull_notrack_pre")
    assert "ip raw, ip6 raw" in leftovers(one, acts)[0]
    there = host(tmp_path / "a", "alpine")
    made = put_in(there, "tablefull_notrack", "exempt", RULES[:2], CHAINS)
    assert leftovers(there, made) == ()  # raw is there


def test_nft_takes_one_transaction(tmp_path) -> None:
    (act,) = put_in(host(tmp_path, "debian-12"), "tablefull_notrack", "exempt", RULES, CHAINS)
    assert act.do == (
        Command(
            ("nft", "-f", "-"),
            "create table inet tablefull_notrack\n"
            "table inet tablefull_notrack {\n"
            "\tchain prerouting {\n"
            "\t\ttype filter hook prerouting priority -300; policy accept;\n"
            "\t\tudp dport 53 counter notrack\n"
            "\t}\n"
            "}\n",
        ),
    )
    assert act.undo == (Command(("nft", "delete", "table", "inet", "tablefull_notrack")),)
    assert act.first == (Command(("test", "-d", "/sys/module/nf_tables")),)


def test_objects_stand_before_the_chains() -> None:
    assert nft_text("t", (), "\tset s { type ipv4_addr; }").splitlines()[2] == "\tset s { type ipv4_addr; }"


def test_one_fix_of_a_kind_at_a_time(tmp_path) -> None:
    nft = "table inet tablefull_notrack {\n\tchain output {\n\t\ttype filter hook output priority -300; policy accept;\n\t}\n}\n"
    one = host(tmp_path, "debian-12", nft=nft)
    assert taken(one, "tablefull_notrack")
    with pytest.raises(CannotRule, match="undo that fix first"):
        put_in(one, "tablefull_notrack", "exempt", RULES, CHAINS)


@pytest.mark.parametrize(
    ("tree", "words"), [("ubuntu-12.04", ()), ("rhel-6", ()), ("debian-12", ("-w", "5")), ("alpine", ("-w", "5"))]
)
def test_the_lock_is_waited_for_where_that_is_known(tmp_path, tree: str, words: tuple[str, ...]) -> None:
    assert waits(host(tmp_path, tree)) == words


def test_ipv6_where_there_is_any(tmp_path) -> None:
    assert families(host(tmp_path / "u", "ubuntu-12.04")) == ("ipv4", "ipv6")
    assert families(host(tmp_path / "a", "alpine")) == ("ipv4",)  # no /proc/net/if_inet6
    assert families(host(tmp_path / "e", "el5")) == ("ipv4",)


def test_listings_show_counters(tmp_path) -> None:
    one = host(tmp_path, "alpine")
    acts = put_in(one, "tablefull_x", "what", RULES[:2], CHAINS)
    assert listings(one, acts) == (Command(("iptables", "-t", "raw", "-n", "-L", "tablefull_x_pre", "-v")),)


def test_a_verdict_is_counted_once() -> None:
    assert counted("udp dport 53 notrack") == "udp dport 53 counter notrack"
    assert counted("ct state invalid counter drop") == "ct state invalid counter drop"
    assert counted("tcp dport 80 synproxy mss 1460") == "tcp dport 80 synproxy mss 1460"
