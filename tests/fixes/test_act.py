"""Acts as values: a journal holds them and gives them back."""

import json

import msgspec
import pytest

from tablefull.fixes import act

PLAN = act.HostPlan(
    fix="raise-max",
    host="web01",
    title="Raise the limit",
    steps=(
        act.Step(
            title="nf_conntrack_max",
            before="65536",
            after="262144",
            scope="host",
            risk="64 MiB of memory",
            undo="write 65536 back",
            acts=(
                act.SetValue("/proc/sys/net/netfilter/nf_conntrack_max", "65536", "262144"),
                act.OwnFile("/etc/sysctl.d/90-tablefull.conf", "net.netfilter.nf_conntrack_max = 262144\n"),
                act.Commanded(
                    "a rule",
                    (act.Command(("nft", "-f", "-"), "add table inet t\n"),),
                    (act.Command(("nft", "delete", "table", "inet", "t")),),
                    act.Command(("nft", "list", "table", "inet", "t")),
                ),
                act.Flush("proto=udp", 12),
            ),
        ),
    ),
)


def test_a_journal_gives_back_what_it_was_given() -> None:
    assert act.read(act.write(PLAN)) == PLAN


def test_each_act_says_what_it_is() -> None:
    steps = json.loads(act.write(PLAN))["steps"]
    assert [one["act"] for one in steps[0]["acts"]] == ["set", "file", "command", "flush"]


@pytest.mark.parametrize("text", [b"", b"{}", b'{"fix": 1, "host": "a", "title": "b"}', b"\xff"])
def test_what_is_no_plan_is_refused(text: bytes) -> None:
    with pytest.raises((msgspec.ValidationError, msgspec.DecodeError)):
        act.read(text)
