"""Plans for the views' tests: one of every kind of act, and one whose every text is a stranger's."""

from tablefull.fixes.act import Command, Commanded, Flush, HostPlan, OwnFile, Predicted, SetValue, Step

EVIL = "$(touch /tmp/owned) `id` '\"; rm -rf / #\x1b]0;x\x07 {{ 7*7 }} {% raw %} <b> \u202e"

PLAN = HostPlan(
    fix="raise-max",
    host="web1",
    title="Raise the limit",
    steps=(
        Step(
            title="nf_conntrack_max",
            before="65536",
            after="262144",
            scope="host",
            risk="64 MiB of memory.",
            undo="65536 again",
            acts=(SetValue("/proc/sys/net/netfilter/nf_conntrack_max", "65536", "262144"),),
            verify=(Command(("cat", "/proc/sys/net/netfilter/nf_conntrack_max")),),
            predicted=Predicted(how="the twin", entries_before=65536, entries_after=90000, memory_bytes=1 << 20),
        ),
        Step(
            title="a table",
            before="none",
            after="one",
            scope="netns",
            risk="None.",
            undo="gone",
            acts=(
                Commanded(
                    "a table",
                    (Command(("nft", "-f", "-"), "add table inet t\n"),),
                    (Command(("nft", "delete", "table", "inet", "t")),),
                    Command(("nft", "list", "table", "inet", "t")),
                ),
                Flush("proto=udp and unreplied", 12),
            ),
        ),
        Step(
            title="Have it last",
            before="no file",
            after="a file",
            scope="host",
            risk="None.",
            undo="taken away",
            acts=(OwnFile("/etc/sysctl.d/90-tablefull.conf", "net.netfilter.nf_conntrack_max = 262144\n"),),
            persists=True,
            when="confirmed",
        ),
    ),
    told=("kube-proxy writes it again",),
)


def hostile(path: str = "/proc/sys/net/netfilter/x") -> HostPlan:
    """Every text is a stranger's; names of files and namespaces too."""
    return HostPlan(
        fix="raise-max",
        host=EVIL,
        title=EVIL,
        netns=None,
        told=(EVIL, "two\nlines"),
        typed=(EVIL, "two\nlines"),
        steps=(
            Step(
                title=EVIL,
                before=EVIL,
                after=EVIL,
                scope="host",
                risk=EVIL,
                undo=EVIL,
                acts=(
                    SetValue(path, EVIL, EVIL),
                    OwnFile(path + EVIL.replace("/", ""), EVIL),
                    Commanded(EVIL, (Command(("true", EVIL), EVIL),), (), Command(("test", "-z", EVIL))),
                ),
                verify=(Command(("echo", EVIL)),),
                predicted=Predicted(how=EVIL),
            ),
        ),
    )
