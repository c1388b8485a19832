"""Lines that people write into scripts, units, rules and modprobe.d, and what they do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tablefull.fixes.boot_script import Call, calls_of, refuses, script

MAX = "net.netfilter.nf_conntrack_max"
FILE = "/proc/sys/net/netfilter/nf_conntrack_max"


@pytest.mark.parametrize(
    ("line", "calls"),
    [
        ("modprobe nf_conntrack", [Call("load", "nf_conntrack")]),
        ("/sbin/modprobe -q br-netfilter || true", [Call("load", "br_netfilter")]),
        ("modprobe nf_conntrack hashsize=4", [Call("load", "nf_conntrack")]),
        ("modprobe -a xt_state xt_CT", [Call("load", "xt_state"), Call("load", "xt_CT")]),
        ("modprobe -r nf_conntrack", [Call("unload", "nf_conntrack")]),
        ("rmmod nf_conntrack_ftp nf_conntrack", [Call("unload", "nf_conntrack_ftp"), Call("unload", "nf_conntrack")]),
        ("modprobe -n nf_conntrack", []),
        (f"sysctl -w {MAX}=7", [Call("set", MAX, "7")]),
        (f"/sbin/sysctl -q -w {MAX}=$MAX", [Call("set", MAX, None)]),
        ("sysctl -p", [Call("file", "/etc/sysctl.conf")]),
        ("sysctl -e -q -p /etc/x.conf /etc/y.conf", [Call("file", "/etc/x.conf"), Call("file", "/etc/y.conf")]),
        ("sysctl -p/etc/x.conf", [Call("file", "/etc/x.conf")]),
        ("sysctl --load=/etc/x.conf", [Call("file", "/etc/x.conf")]),
        ("sysctl -q --system", [Call("system")]),
        ("/usr/lib/systemd/systemd-sysctl --prefix=/net/bridge", [Call("systemd", "/net/bridge")]),
        ("/lib/systemd/systemd-sysctl", [Call("systemd")]),
        ("/lib/systemd/systemd-sysctl /etc/x.conf", [Call("file", "/etc/x.conf")]),
        (f"echo 7 > {FILE}", [Call("set", FILE, "7")]),
        (f"echo '7' | sudo tee {FILE}", [Call("set", FILE, "7")]),
        ("echo 4 >/sys/module/nf_conntrack/parameters/hashsize", [
            Call("set", "/sys/module/nf_conntrack/parameters/hashsize", "4")
        ]),
        ("/bin/sh -c 'modprobe nf_conntrack && sysctl -w x.y=1'", [Call("load", "nf_conntrack"), Call("set", "x.y", "1")]),
        ("sysctl -n net.netfilter.nf_conntrack_max", []),
        ("echo hello", []),
    ],
)  # fmt: skip
def test_what_a_line_does(line: str, calls: list[Call]) -> None:
    assert calls_of(line) == calls


def test_a_script_knows_its_lines_and_passes_over_comments() -> None:
    text = "#!/bin/sh\n# modprobe a\nmodprobe b # modprobe c\nsysctl \\\n  -w x.y=1\n"
    assert script(text) == [Call("load", "b", line=3), Call("set", "x.y", "1", 4)]


@pytest.mark.parametrize("text", ["/bin/false", "/bin/true", "/usr/bin/false ", "false", "/bin/true $CMDLINE_OPTS"])
def test_install_lines_that_load_nothing(text: str) -> None:
    assert refuses(text)


def test_install_lines_that_load() -> None:
    assert not refuses("/sbin/modprobe --ignore-install nf_conntrack && /bin/true")


@given(st.text(max_size=200))
def test_never_raises(text: str) -> None:
    assert isinstance(script(text), list)
