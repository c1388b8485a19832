"""A rule in, out, and kept, by front end."""

import pytest
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


@pytest.mark.parametrize("name", ["ubuntu-12.04", "ubuntu-22.04"])
def test_ufw_keeps_its_own_file_and_its_package(name: str) -> None:
    kept = packet_rules.keep(host(name), (RULE,))
    assert "/etc/ufw/before.rules" in kept[0]
    assert not any("persistent" in line for line in kept)


def test_an_unknown_front_end_gets_a_unit_that_removes_no_ufw() -> None:
    kept = packet_rules.keep(host("ubuntu-22.04", front_end="unknown"), (RULE,), "tablefull_x")
    assert "systemctl enable tablefull-x.service" in kept
    assert not any("apt-get" in line for line in kept)
    told = packet_rules.keep(host("debian-12", front_end="iptables"), (RULE,))
    assert "ufw" in told[0]
    assert told[1] == "apt-get install -y iptables-persistent"


@pytest.mark.parametrize("name", ["debian-10", "el7", "unknown"])
def test_what_docker_writes_is_not_frozen(name: str) -> None:
    kept = packet_rules.keep(host(name, front_end="iptables", orchestrator="docker"), (RULE,), "tablefull_x")
    assert "freeze" in kept[0]
    assert not any("save" in line for line in kept[1:])
    assert any("After=" in line and "docker.service" in line and "-p gre" in line for line in kept)


def test_without_iptables_openwrt_is_given_nft_without_the_shell_s_quotes() -> None:
    chains = (NftChain("prerouting", "prerouting", -300, ("'tcp flags & (syn|ack) == syn drop'",)),)
    (line,) = packet_rules.nft_keep(host("openwrt"), "tablefull_x", chains)
    assert " 'tcp flags & (syn|ack) == syn drop' " in line
    assert "\\'" not in line
