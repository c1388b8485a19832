"""``tablefull why`` on kernels with loadable modules: it loads none, and is right where the running kernel of a test
machine often has no say: bridge tables, flowtables, tc, Open vSwitch, IPVS, enable_hooks.

What is true is told by a ping over lo and ``conntrack -L`` in each namespace, which know nothing of rules.
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from tests.vm import machine

pytestmark = [pytest.mark.vm, pytest.mark.slow]

PROGRAMS = ("kmod", "nft", "iptables-legacy", "iptables-legacy-save", "ip", "tc", "conntrack")
TOOLS = ("cat", "cmp", "cut", "grep", "ls", "mkdir", "mount", "ping", "poweroff", "rm", "sleep", "sort", "sysctl")

INIT = r"""#!/bin/dash
export PATH=/usr/sbin:/usr/bin NO_COLOR=1 TERM=dumb
mount -t proc proc /proc
mount -t sysfs sys /sys
. /warm
ip link set lo up
state() { cut -d' ' -f1 /proc/modules | sort; cat /proc/net/ip_tables_names 2>/dev/null; }
ask() {  # name, then words of why
  name=$1; shift
  state > /run/before
  tablefull why --format json "$@" > /run/out 2> /run/err; status=$?
  state > /run/after
  cmp -s /run/before /run/after && same=yes || same=no
  echo "@begin $name"; cat /run/out /run/err; echo "@end $name $status $same"
}
case_() {  # name; its deeds come on standard input
  ip netns add $1; ip netns exec $1 ip link set lo up
  cat > /run/deeds; ip netns exec $1 dash -e /run/deeds > /run/err 2>&1 || { echo "@failed $1"; cat /run/err; }
  ask $1 --netns $1
  ask $1.prove --netns $1 --prove
  ip netns exec $1 ping -c 1 -W 1 127.0.0.1 > /dev/null
  ip netns exec $1 ping -c 1 -W 1 ::1 > /dev/null
  for family in ipv4 ipv6; do
    ip netns exec $1 conntrack -L -f $family 2>/dev/null | grep -q icmp && echo "@true $1 $family"
  done
}
ask bare
ask bare.prove --prove
modprobe veth; modprobe nf_conntrack; modprobe nf_conntrack_netlink
ask loaded.prove --prove
: | case_ none
echo "iptables-legacy -t nat -L -n" | case_ nat
echo "iptables-legacy -A INPUT -m state --state NEW -j ACCEPT" | case_ legacy
echo "nft 'add table bridge t; add chain bridge t c { type filter hook forward priority 0; }; add rule bridge t c ct state new'" | case_ bridge
echo "nft 'add table inet t; add flowtable inet t f { hook ingress priority 0; devices = { lo }; }'" | case_ flowtable
echo "nft 'add table inet t; add flowtable inet t f { hook ingress priority 0; devices = { lo }; };
  add chain inet t c { type filter hook forward priority 0; }; add rule inet t c meta l4proto tcp flow add @f'" | case_ flow
modprobe openvswitch; modprobe ip_vs
: | case_ callers
ip netns add tc; ip netns exec tc ip link set lo up
ip netns exec tc tc qdisc add dev lo clsact
ip netns exec tc tc filter add dev lo egress matchall action ct && echo "@tc"
ask tc --netns tc
ask tc.prove --netns tc --prove
for space in none nat legacy bridge flowtable flow callers tc; do ip netns del $space; done
nft flush ruleset
modprobe -r openvswitch ip_vs act_ct nf_conntrack_netlink
free() {
  for turn in 1 2 3 4 5; do
    for name in $(cut -d' ' -f1 /proc/modules | grep -e '^nf' -e '^xt_' -e ip_tables -e iptable -e ip6); do
      rmmod $name 2>/dev/null
    done
  done
}
free
modprobe nf_conntrack enable_hooks=1; modprobe nf_conntrack_netlink
: | case_ byhand
ip netns del byhand
free
echo "options nf_conntrack enable_hooks=1" > /etc/modprobe.d/hooks.conf
modprobe nf_conntrack; modprobe nf_conntrack_netlink
: | case_ configured
echo "@done"
poweroff -f
"""


@pytest.fixture(scope="module", params=machine.SERIES)
def told(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Everything that one boot printed."""
    kernel = machine.kernel(request.param)
    folder = tmp_path_factory.mktemp("vm")
    system = machine.System(folder / "tree")
    system.base(PROGRAMS, TOOLS)
    system.modules(kernel)
    below = kernel.modules.parents[2]
    for veth in kernel.modules.rglob("veth.ko"):
        system.copy(str(veth.relative_to(below)), veth)
    for folder_name in ("/usr/lib/x86_64-linux-gnu/xtables", "/usr/lib/tc"):
        for plugin in Path(folder_name).glob("*.so"):
            if "xtables" not in folder_name or plugin.name in (
                "libxt_state.so",
                "libxt_standard.so",
                "libxt_conntrack.so",
            ):
                system.copy(str(plugin).lstrip("/"), plugin.resolve())
    (system.tree / "etc/modprobe.d").mkdir(parents=True, exist_ok=True)
    system.text("warm", machine.WARM_SHELL)
    system.text("init", INIT, 0o755)
    said = machine.run_disk(kernel, system.image(folder / "disk.img"), folder)
    assert "@done" in said, said[-3000:]
    return said


def answer(told: str, name: str) -> tuple[int, bool, dict[str, Any]]:
    """Exit code, whether the modules stayed as they were, and the namespace told of."""
    match = re.search(rf"@begin {re.escape(name)}\n(.*?)@end {re.escape(name)} (\d+) (yes|no)", told, re.DOTALL)
    assert match is not None, told[-3000:]
    (space,) = json.loads(match[1])["namespaces"]
    return int(match[2]), match[3] == "yes", space


def states(space: dict[str, Any]) -> dict[str, str]:
    return {family: one["state"] for family, one in space["active"].items()}


def truth(told: str, name: str) -> dict[str, str]:
    return {family: "yes" if f"@true {name} {family.lower()}" in told else "no" for family in ("IPv4", "IPv6")}


def test_a_bare_kernel_is_told_from_what_is_not_loaded_and_loads_nothing(told: str) -> None:
    code, same, space = answer(told, "bare")
    assert (code, same, states(space)) == (0, True, {"IPv4": "no", "IPv6": "no"})
    assert "not loaded" in space["active"]["IPv4"]["why"]
    code, same, space = answer(told, "bare.prove")
    assert (code, same) == (0, True)
    assert "modprobe veth" in space["proofs"][0]["told"]


@pytest.mark.parametrize("name", ["none", "nat", "legacy", "bridge", "flowtable", "flow", "callers"])
def test_the_answer_the_packet_and_the_ping_agree(told: str, name: str) -> None:
    assert f"@failed {name}\n" not in told
    code, same, space = answer(told, name)
    wanted = truth(told, name)
    assert (code, same) == (0, True)
    assert {family: state for family, state in states(space).items() if family != "bridge"} == wanted
    code, same, space = answer(told, f"{name}.prove")
    assert (code, same) == (0, True)
    assert {one["family"]: "yes" if one["tracked"] else "no" for one in space["proofs"]} == wanted
    if name != "callers":
        assert wanted["IPv4"] == ("yes" if name in ("legacy", "bridge", "flow") else "no"), "KERNEL.md differs"


def test_a_bridge_table_is_told_as_a_family_of_its_own(told: str) -> None:
    _, _, space = answer(told, "bridge")
    assert states(space) == {"IPv4": "yes", "IPv6": "yes", "bridge": "yes"}
    assert any("nf_conntrack_bridge" in one["by"] for one in space["reasons"])


def test_modules_that_hand_packets_in_are_named(told: str) -> None:
    _, _, space = answer(told, "callers")
    assert {"openvswitch", "ip_vs"} <= {by for one in space["reasons"] for by in one["by"]}
    if truth(told, "callers")["IPv4"] == "no":  # of 6.12; earlier its module turns tracking on
        assert "openvswitch" in space["active"]["IPv4"]["why"]


def test_tc_actions_are_found_and_asking_loads_nothing(told: str) -> None:
    assert "@tc\n" in told
    code, same, space = answer(told, "tc")
    assert (code, same) == (0, True)
    assert any("tc action ct" in one["by"] for one in space["reasons"])
    assert states(space) == {"IPv4": "yes", "IPv6": "yes", "bridge": "no"}  # its module is left from the bridge table


def test_enable_hooks_by_hand_is_shown_by_the_packet_alone(told: str) -> None:
    assert truth(told, "byhand") == {"IPv4": "yes", "IPv6": "yes"}
    _, _, space = answer(told, "byhand")
    assert "enable_hooks" in space["active"]["IPv4"]["why"]
    code, same, space = answer(told, "byhand.prove")
    assert (code, same, states(space)) == (0, True, {"IPv4": "yes", "IPv6": "yes"})


def test_enable_hooks_in_a_file_is_found_there(told: str) -> None:
    assert truth(told, "configured") == {"IPv4": "yes", "IPv6": "yes"}
    code, _, space = answer(told, "configured")
    assert (code, states(space)) == (0, {"IPv4": "yes", "IPv6": "yes"})
    assert any("/etc/modprobe.d/hooks.conf" in one["source"] for hold in space["reasons"] for one in hold["evidence"])
