"""A rule in, out, and kept, by front end."""

from situations import host

from tablefull.fixes import packet_rules
from tablefull.fixes.packet_rules import NftChain, Rule

RULE = Rule("raw", "PREROUTING", "-p gre -j NOTRACK")


def test_in_and_out_name_the_same_rule() -> None:
    assert packet_rules.insert(host("debian-10"), (RULE,)) == (
        "iptables -t raw -I PREROUTING -p gre -j NOTRACK",
        "ip6tables -t raw -I PREROUTING -p gre -j NOTRACK",
    )
    assert packet_rules.delete(host("el5"), (RULE,)) == ("iptables -t raw -D PREROUTING -p gre -j NOTRACK",)


def test_kept_by_the_front_end() -> None:
    assert packet_rules.keep(host("el6"), (RULE,)) == ("service iptables save", "service ip6tables save")
    assert packet_rules.keep(host("debian-10"), (RULE,)) == ("netfilter-persistent save",)
    assert "/etc/ufw/before.rules" in packet_rules.keep(host("ubuntu-12.04"), (RULE,))[0]
    assert "/etc/firewall.user" in packet_rules.keep(host("openwrt-old"), (RULE,))[0]
    assert "nixos-rebuild switch" in packet_rules.keep(host("nixos"), (RULE,))


def test_nft_touches_a_table_of_its_own_only() -> None:
    made = packet_rules.nft_create(
        "tablefull_x", (NftChain("prerouting", "prerouting", -300, ("udp dport 53 notrack",)),)
    )
    assert all("inet tablefull_x" in line for line in made)
    assert packet_rules.nft_delete("tablefull_x") == ("nft delete table inet tablefull_x",)
    assert packet_rules.nft_keep(host("openwrt"), "tablefull_x", ())[0].endswith("/etc/nftables.d/tablefull_x.nft")
