"""Headings that move a paste to another machine, and sentences that do not."""

import pytest

from tablefull.parsers.hosts import place


@pytest.mark.parametrize(
    ("text", "name", "role", "labelled"),
    [
        ("iptables on Dom0:", "Dom0", "dom0", False),
        ("iptables on one of the DomUs:", "DomU", "domu", False),
        ("Dom 0:", "Dom0", "dom0", False),
        ("On the Xen host:", "Dom0", "dom0", False),
        ("=== web1 ===", "web1", "unknown", True),
        ("--- db-2.example.org ---", "db-2.example.org", "unknown", True),
        ("===== 10.0.0.5 =====", "10.0.0.5", "unknown", True),
        ("=== host: web7 ===", "web7", "unknown", True),
        ("## web1 (primary)", "web1", "unknown", True),
        ("## Dom0", "Dom0", "dom0", False),
        ("**Node worker-3**", "Node worker-3", "node", True),
        ("[router]", "router", "router", False),
        ("On the host (Proxmox 8):", "host", "host", False),
        ("on my NAT gateway:", "gateway", "router", False),
        ("dmesg on node web-3 shows:", "node web-3", "node", True),
        ("Kernel log of the affected k8s node:", "node", "node", False),
        ("Inside the container:", "container", "container", False),
        ("On VM 101:", "VM 101", "guest", True),
        ("vm1:", "vm1", "guest", True),
        ("On the hardware node:", "hardware node", "hypervisor", False),
        ("web1 | CHANGED | rc=0 >>", "web1", "unknown", True),
    ],
)
def test_introductions(text, name, role, labelled):
    found = place(text)
    assert (found.name, found.role, found.labelled) == (name, role, labelled)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "I ran iptables on Dom0 and nothing was there.",
        "The host was slow because of many things:",
        "The server is under about 10M hits / day load.",
        "On the machine: nothing",
        "-----",
        "=====",
        "=== 5.4.0 ===",
        "=== notes ===",
        "==> /proc/sys/net/netfilter/nf_conntrack_max <==",
        "--- a/nf.conf ---",
        "  host:",
        "Why here, and what do I do:",
        "on " + "a" * 400 + ":",
    ],
)
def test_no_machine(text):
    assert place(text) is None


def test_words_for_one_machine_have_one_key():
    assert place("On the guest:").key == place("On the VM:").key == place("virtual machine:").key
    assert place("On the server:").key == place("On the host:").key
    assert place("On the master:").key != place("On the worker:").key
    assert place("node 1:").key != place("node 2:").key
