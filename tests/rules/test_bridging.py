"""Bridged frames: shown, by default, or turned off."""

import pytest
from rule_text import FULL, fired, found


def test_the_switch_as_shown_is_a_fact() -> None:
    one = fired(FULL + "net.bridge.bridge-nf-call-iptables = 1", "bridge-nf")
    assert one.fixes[0] == "disable-bridge-nf"
    assert any("bridge-nf-call-iptables" in origin.text for origin in one.evidence)


@pytest.mark.parametrize("after", ["", "port 3(vnet0) is up\n"])
def test_where_nothing_is_bridged_the_switch_is_not_the_cause(after: str) -> None:
    shown = FULL + f"root@web1:~# bridge link\n{after}root@web1:~# sysctl net.bridge.bridge-nf-call-iptables\n"
    shown += "net.bridge.bridge-nf-call-iptables = 1\n"
    seen = found(shown, "bridge-nf")
    assert (seen is None) is (after == "")
    if not after:
        unneeded = found(shown + "*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n", "unneeded-tracking")
        assert unneeded is not None
        assert "disable-bridge-nf" not in unneeded.fixes


def test_turned_off_it_is_not_the_cause() -> None:
    assert found(FULL + "net.bridge.bridge-nf-call-iptables = 0", "bridge-nf") is None


def test_a_xen_host_bridges_by_default_and_the_basis_says_so() -> None:
    one = fired(
        "Linux xen3 3.2.0-24-generic #37-Ubuntu SMP x86_64 GNU/Linux\nA Xen host; in dom0:\n" + FULL, "bridge-nf"
    )
    assert one.basis != "shown"
    assert one.confidence == pytest.approx(0.7)


def test_a_bridge_without_a_full_table_is_no_finding() -> None:
    text = (
        "bridge name\tbridge id\t\tSTP enabled\tinterfaces\nbr0\t\t8000.d4ae52c7a1b2\tno\t\teth0\n\t\t\t\t\t\t\tvnet0\n"
    )
    assert found(text, "bridge-nf") is None
