"""What starts tracking, by version and by rule text, with the running kernel as judge of both."""

import os
import subprocess
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tablefull.kernel import modules
from tablefull.kernel.identity import at_least, parse_release


@pytest.mark.parametrize(
    ("release", "starts"),
    [
        ("2.6.18-194.el5", True),
        ("3.2.0-24-generic", True),
        ("3.10.0-1160.el7.x86_64", True),
        ("4.9.115", True),
        ("4.13.4", True),
        ("4.14.32-coreos", False),
        ("4.18.0-147.el8.x86_64", False),
        ("6.18.44", False),
    ],
)
def test_listing_nat(release: str, starts: bool) -> None:
    assert modules.listing_nat_starts_tracking(parse_release(release)).value is starts
    assert modules.loading_starts_tracking(parse_release(release)).value is starts


def test_without_a_version() -> None:
    assert modules.listing_nat_starts_tracking(None).basis == "unknown"
    assert modules.is_active_when(None).basis == "unknown"
    assert modules.bridge_nf(None).basis == "unknown"


def test_sentences_name_the_module_of_the_era() -> None:
    assert "ip_conntrack is loaded" in (modules.is_active_when(parse_release("2.6.18-194.el5")).value or "")
    assert "nf_conntrack_ipv4" in (modules.is_active_when(parse_release("3.2.0-24-generic")).value or "")
    assert "default_on" in (modules.is_active_when(parse_release("4.12.0")).value or "")
    assert "enable_hooks" not in (modules.is_active_when(parse_release("4.14.177")).value or "")
    assert "enable_hooks" in (modules.is_active_when(parse_release("6.1.20")).value or "")


def test_bridge() -> None:
    before, after = modules.bridge_nf(parse_release("3.2.0-24-generic")), modules.bridge_nf(parse_release("5.4.0"))
    assert before.value is not None
    assert after.value is not None
    assert (before.value.separate_module, before.value.default) == (False, 1)
    assert (after.value.separate_module, after.value.per_netns, after.value.bridge_family_tracking) == (
        True,
        True,
        True,
    )


# lsmod of an Ubuntu 12.04 with iptables nat loaded, in no order.
UBUNTU_12 = {
    "nf_conntrack": ("nf_nat", "xt_state", "nf_conntrack_ipv4", "ipt_MASQUERADE", "nf_conntrack_netlink"),
    "nf_defrag_ipv4": ("nf_conntrack_ipv4",),
    "nf_conntrack_ipv4": ("nf_nat", "iptable_nat"),
    "nf_nat": ("iptable_nat", "ipt_MASQUERADE", "nf_nat_ftp"),
    "iptable_nat": (),
    "ipt_MASQUERADE": (),
    "xt_state": (),
    "nf_conntrack_netlink": (),
    "nf_nat_ftp": (),
    "nf_conntrack_ftp": ("nf_nat_ftp",),
    "bridge": (),
}


def test_nothing_leaves_before_its_users() -> None:
    order = modules.unload_order(parse_release("3.2.0-24-generic"), UBUNTU_12)
    assert set(order) == set(UBUNTU_12) - {"bridge"}
    for module in order:
        for user in UBUNTU_12[module]:
            assert order.index(user) < order.index(module), (user, module)


def test_other_eras_unload() -> None:
    el5 = ["ip_conntrack", "iptable_nat", "ip_nat", "ip_conntrack_ftp", "ip_nat_ftp", "xt_state"]
    assert modules.unload_order(None, el5) == (
        "xt_state",
        "iptable_nat",
        "ip_nat_ftp",
        "ip_conntrack_ftp",
        "ip_nat",
        "ip_conntrack",
    )
    new = ["nf_conntrack", "nf_nat", "nft_chain_nat", "xt_MASQUERADE", "nf_defrag_ipv6", "nf_defrag_ipv4"]
    assert modules.unload_order(None, new) == (
        "xt_MASQUERADE",
        "nft_chain_nat",
        "nf_nat",
        "nf_conntrack",
        "nf_defrag_ipv4",
        "nf_defrag_ipv6",
    )
    assert modules.unload_order(None, ["nf_defrag_ipv4", "ext4", "ip_vs"]) == ()
    assert modules.unload_order(None, ["nf-conntrack"]) == ("nf-conntrack",)


# Rule as written (the words after `iptables`), and which of its words ask. The kernel judges each below.
IPTABLES = {
    "-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT": ("conntrack",),
    "-A INPUT -m state --state NEW": ("state",),
    "-A INPUT -m connlimit --connlimit-above 100 -j REJECT": ("connlimit",),
    "-A INPUT -m connmark --mark 1": ("connmark",),
    "-A INPUT -m helper --helper ftp": ("helper",),
    "-A INPUT -m connbytes --connbytes 1000 --connbytes-dir both --connbytes-mode bytes": ("connbytes",),
    "-t mangle -A INPUT -j CONNMARK --save-mark": ("CONNMARK",),
    "-t nat -A POSTROUTING -o eth9 -j MASQUERADE": ("MASQUERADE",),
    "-t nat -A POSTROUTING -s 203.0.113.9 -j SNAT --to 192.0.2.1": ("SNAT",),
    "-t nat -A PREROUTING -p tcp --dport 9 -j DNAT --to 192.0.2.1:9": ("DNAT",),
    "-t nat -A PREROUTING -p tcp -j REDIRECT --to-ports 3128": ("REDIRECT",),
    "-t raw -A PREROUTING -p tcp --dport 21 -j CT --zone 3": ("CT",),
    "-t raw -A PREROUTING -p tcp -j CT --notrack": (),
    "-t raw -A PREROUTING -p udp --dport 53 -j NOTRACK": (),
    "-A INPUT -p tcp -m multiport --dports 80,443 -j ACCEPT": (),
    "-A INPUT -m comment --comment established -j ACCEPT": (),
    "-A FORWARD -m physdev --physdev-is-bridged -j ACCEPT": (),
    "-A INPUT -m limit --limit 5/min -j LOG --log-prefix state": (),
    "-A INPUT -p udp -m recent --name ctstate --set": (),
}

NFT = {
    "ct state established,related accept": ("ct state",),
    "ct state vmap { established : accept, invalid : drop }": ("ct state",),
    "meta mark set ct mark": ("ct mark",),
    "ct count over 20 drop": ("ct count",),
    "tcp dport 80 counter accept": (),
    "udp dport 53 notrack": (),
    'ip saddr 203.0.113.9 accept comment "ct state nat masquerade"': (),
}
NFT_NAT = {
    'oifname "eth9" masquerade': ("masquerade",),
    'oifname "eth9" snat to 192.0.2.1': ("snat",),
    "ip saddr 203.0.113.9 counter snat to 192.0.2.1": ("snat",),
}


@pytest.mark.parametrize(("rule", "by"), IPTABLES.items())
def test_iptables_rules(rule: str, by: tuple[str, ...]) -> None:
    found = modules.requests_tracking(rule, "iptables", parse_release("6.18.44"))
    assert (found.value, found.by) == (bool(by), by)


@pytest.mark.parametrize(("rule", "by"), [*NFT.items(), *NFT_NAT.items()])
def test_nft_rules(rule: str, by: tuple[str, ...]) -> None:
    found = modules.requests_tracking(rule, "nft", parse_release("6.18.44"))
    assert (found.value, found.by) == (bool(by), by)


@pytest.mark.parametrize(
    ("row", "by"),
    [
        # iptables -L, with -v and with --line-numbers, as printed on the machines of the incidents and by 1.8.9
        ("MASQUERADE  all  --  10.0.0.0/24          anywhere", ("MASQUERADE",)),
        ("1       12  1390K MASQUERADE  0    --  *      eth0    0.0.0.0/0            0.0.0.0/0", ("MASQUERADE",)),
        ("ACCEPT     all  --  anywhere             anywhere            state RELATED,ESTABLISHED", ("state",)),
        (
            "    0     0 DROP       0    --  *      *       0.0.0.0/0            0.0.0.0/0            ctstate INVALID",
            ("conntrack",),
        ),
        (
            "0     0 REJECT     0    --  *      *       0.0.0.0/0            0.0.0.0/0            #conn src/32 > 100",
            ("connlimit",),
        ),
        ('5    0     0     0    --  *      *       0.0.0.0/0    0.0.0.0/0            helper match "ftp"', ("helper",)),
        (
            "4    0     0     0    --  *      *       0.0.0.0/0    0.0.0.0/0      connmark match  0x1 /* state nat */",
            ("connmark",),
        ),
        ("DNAT       tcp  --  anywhere             anywhere            tcp dpt:http to:10.0.0.1:80", ("DNAT",)),
        (
            "1        0     0 CT         0    --  *      *       0.0.0.0/0            0.0.0.0/0            CT notrack",
            (),
        ),
        ("2        0     0 CT         0    --  *      *       0.0.0.0/0            0.0.0.0/0            NOTRACK", ()),
        (
            "3        0     0 CT         6    --  *      *       0.0.0.0/0    0.0.0.0/0    tcp dpt:21 CT helper ftp",
            ("CT",),
        ),
        ("NOTRACK    udp  --  anywhere             anywhere            udp dpt:domain", ()),
        ("DOCKER     all  --  anywhere             anywhere            ADDRTYPE match dst-type LOCAL", ()),
        (
            "ACCEPT     tcp  --  anywhere             anywhere            tcp dpt:http /* no ctstate here, no state */",
            (),
        ),
        ("Chain PREROUTING (policy ACCEPT 23155 packets, 1390K bytes)", ()),
        ("pkts bytes target     prot opt in     out     source               destination", ()),
    ],
)
def test_listed_rows(row: str, by: tuple[str, ...]) -> None:
    assert modules.requests_tracking(row, "iptables", parse_release("3.2.0-24-generic")).by == by


def test_nft_lines_around_rules() -> None:
    for line in ("table ip snat {", "chain dnat {", "type nat hook postrouting priority srcnat; policy accept;", "}"):
        assert not modules.requests_tracking(line, "nft", None).value
    assert not modules.requests_tracking("jump snat", "nft", None).value
    left_by_iptables_nft = 'meta l4proto tcp xt match "conntrack" counter packets 0 bytes 0 accept'
    assert modules.requests_tracking(left_by_iptables_nft, "nft", None).by == ("conntrack",)
    assert modules.requests_tracking('oifname "snat" xt target "MASQUERADE"', "nft", None).by == ("MASQUERADE",)
    assert modules.requests_tracking("ip protocol tcp flow add @ft", "nft", None).by == ("flow add",)


@given(st.text(), st.sampled_from(["iptables", "nft"]))
def test_any_text_is_a_rule(text: str, front_end: str) -> None:
    found = modules.requests_tracking(text, front_end, None)
    assert found.value is bool(found.by)


def _tracked(*commands: str) -> bool | None:
    """Whether one ping over loopback leaves an entry after these commands, in a fresh namespace; None if one fails."""
    script = " && ".join(["ip link set lo up", *commands, "ping -c1 -W1 -q 127.0.0.1 >/dev/null"])
    script += "; status=$?; cat /proc/sys/net/netfilter/nf_conntrack_count; exit $status"
    done = subprocess.run(["unshare", "-n", "sh", "-c", script], capture_output=True, text=True, check=False)
    return int(done.stdout) > 0 if done.returncode == 0 else None


@pytest.fixture
def by_rule(program: Callable[[str], str]) -> None:
    for name in ("unshare", "ip", "ping"):
        program(name)
    if not at_least(parse_release(os.uname().release), 4, 14):
        pytest.skip("the running kernel tracks by module, not by rule")


@pytest.mark.realkernel
@pytest.mark.usefixtures("by_rule")
@pytest.mark.parametrize("tool", ["iptables-legacy", "iptables-nft"])
def test_the_kernel_agrees_on_iptables(tool: str, program: Callable[[str], str]) -> None:
    program(tool)
    assert _tracked("true") is False
    assert _tracked(f"{tool} -t nat -L >/dev/null", f"{tool} -t nat -S >/dev/null") is False
    judged = 0
    for rule, by in IPTABLES.items():
        measured = _tracked(f"{tool} {rule}")
        if measured is not None:
            judged += 1
            assert measured is bool(by), rule
    assert judged > 12


@pytest.mark.realkernel
@pytest.mark.usefixtures("by_rule")
def test_the_kernel_agrees_on_nft(program: Callable[[str], str]) -> None:
    program("nft")
    table = "nft add table ip t"
    nat = "nft 'add chain ip t p { type nat hook postrouting priority 100; }'"
    assert _tracked(table, nat) is False
    for rule, by in NFT.items():
        assert _tracked(table, "nft add chain ip t c", f"nft 'add rule ip t c {rule}'") is bool(by), rule
    for rule, by in NFT_NAT.items():
        assert _tracked(table, nat, f"nft 'add rule ip t p {rule}'") is bool(by), rule
