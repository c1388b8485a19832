import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from tablefull.facts.host import KernelRelease
from tablefull.facts.kernel_log import LogLine
from tablefull.facts.origin import Hole
from tablefull.facts.settings import Setting
from tablefull.live import netns, programs
from tablefull.live.collect import SAMPLE_ROWS, collect, snapshot
from tablefull.live.collection import Artefact, Collection, Namespace, for_reader, host_of, safe
from tablefull.live.programs import Ran

ROW = "ipv4     2 tcp      6 100 TIME_WAIT src=10.0.0.{} dst=10.0.1.1 sport={} dport=80 src=10.0.1.1 dst=10.0.0.{} sport=80 dport={} [ASSURED] mark=0 use=1\n"


class Told:
    """Programs as a test tells them: what each prints, and which were asked."""

    def __init__(self, **output: str) -> None:
        self.output = output
        self.asked: list[tuple[str, ...]] = []

    def __call__(self, argv: Sequence[str], *, timeout_s: float, most_lines: int | None = None) -> Ran | Hole:
        assert timeout_s > 0
        self.asked.append(tuple(argv))
        told = self.output.get(argv[0].replace("-", "_"))
        if told is None:
            return Hole(" ".join(argv), f"the program {argv[0]} is not installed")
        lines = told.splitlines(keepends=True)
        cut = most_lines is not None and len(lines) > most_lines
        return Ran("".join(lines[:most_lines]).encode(), None if cut else 0, "", cut)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A modular 3.2 host whose table is full."""
    for path, text in {
        "proc/version": "Linux version 3.2.0-54-virtual (buildd@roseapple) #82-Ubuntu SMP\n",
        "proc/meminfo": "MemTotal:         1048576 kB\nMemFree:           4096 kB\n",
        "proc/slabinfo": "slabinfo - version: 2.1\nnf_conntrack 10 20 320 12 1 : tunables 0 0 0 : slabdata 1 1 0\n",
        "proc/modules": "nf_conntrack 81926 2 iptable_nat,nf_nat, Live 0xffffffffa0000000\n",
        "proc/cmdline": "root=/dev/xvda password=hunter2 nf_conntrack.hashsize=16384 quiet\n",
        "proc/sys/kernel/osrelease": "3.2.0-54-virtual\n",
        "proc/sys/kernel/hostname": "xen1\n",
        "proc/sys/net/netfilter/nf_conntrack_max": "1548576\n",
        "proc/sys/net/netfilter/nf_conntrack_count": "1548576\n",
        "proc/sys/net/ipv4/ip_forward": "1\n",
        "proc/net/ip_tables_names": "nat\nfilter\n",
        "proc/net/tcp": "  sl  local_address rem_address   st tx_queue\n   0: 0100007F:0016 00000000:0000 0A 00000000:0\n",
        "proc/net/nf_conntrack": "".join(ROW.format(n % 250, n, n % 250, n) for n in range(SAMPLE_ROWS + 7)),
        "etc/sysctl.conf": "# net.ipv4.ip_forward = 0\nnet.netfilter.nf_conntrack_max = 65536\nkernel.secret = 1\n",
        "etc/modprobe.d/x.conf": "options nf_conntrack hashsize=8192\noptions snd index=1\n",
        "etc/os-release": 'NAME="Ubuntu"\nID=ubuntu\nVERSION_ID="12.04"\n',
        "var/log/kern.log": "Jan  1 00:00:00 xen1 kernel: [12.5] nf_conntrack: table full, dropping packet.\n",
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    return tmp_path


def test_everything_of_a_tree_is_collected_under_its_own_path(root: Path) -> None:
    found = collect(root, run=Told(iptables_legacy_save="*nat\nCOMMIT\n"))
    assert (found.host, found.kernel, found.root) == ("xen1", "3.2.0-54-virtual", False)
    assert found.content("proc/sys/net/netfilter/nf_conntrack_max") == b"1548576\n"
    assert found.content("commands/iptables-save_-t_nat") == b"$ iptables-legacy-save -c -t nat\n*nat\nCOMMIT\n"
    states = found.content("commands/socket_states")
    assert states is not None
    assert states.split() == b"$ awk '{print $4}' /proc/net/tcp | sort | uniq -c 1 LISTEN".split()
    assert found.content("etc/modprobe.d/x.conf") == b"options nf_conntrack hashsize=8192\n"


def test_the_command_line_and_configuration_lose_what_is_not_about_the_table(root: Path) -> None:
    found = collect(root)
    assert found.content("proc/cmdline") == b"nf_conntrack.hashsize=16384\n"
    assert found.content("etc/sysctl.conf") == b"net.netfilter.nf_conntrack_max = 65536\n"
    assert not any(b"hunter2" in artefact.content or b"secret" in artefact.content for artefact in found.artefacts)


def test_only_the_first_rows_of_the_table_are_read_and_that_is_said(root: Path) -> None:
    found = collect(root)
    rows = found.content("proc/net/nf_conntrack")
    assert rows is not None
    assert rows.count(b"\n") == SAMPLE_ROWS
    assert any(hole.what == "/proc/net/nf_conntrack" and "fair sample" in hole.why for hole in found.holes)


def test_nothing_is_asked_that_would_load_a_module_or_create_a_table(root: Path) -> None:
    told = Told(nft="", conntrack="", ipset="", iptables_legacy_save="*nat\n")
    found = collect(root, run=told)
    assert {argv[0] for argv in told.asked} <= {"iptables-legacy-save", "bridge", "journalctl"}
    assert [argv[-1] for argv in told.asked if argv[0] == "iptables-legacy-save"] == ["filter", "nat"]
    why = {hole.what: hole.why for hole in found.holes}
    assert "nf_tables" in why["nft list ruleset"]
    assert "nf_conntrack_netlink" in why["conntrack -S"]


def test_that_no_interface_is_a_port_of_a_bridge_is_kept_and_a_missing_program_says_nothing(root: Path) -> None:
    asked, missing = collect(root, run=Told(bridge="")), collect(root, run=Told())
    assert asked.content("commands/bridge_link") == b"$ bridge link\n"
    assert missing.content("commands/bridge_link") is None


def test_what_is_loaded_is_asked(root: Path) -> None:
    with (root / "proc/modules").open("a") as modules:
        modules.write("nf_tables 1 0 - Live 0x0\nnf_conntrack_netlink 1 0 - Live 0x0\nip_set 1 0 - Live 0x0\n")
    (root / "proc/net/nf_conntrack").unlink()
    told = Told(nft="table ip x {\n}\n", conntrack="x\n" * (SAMPLE_ROWS + 1), ipset="")
    found = collect(root, run=told)
    assert ("nft", "-t", "list", "ruleset") in told.asked
    assert ("conntrack", "-S") in told.asked
    assert ("ipset", "list", "-t") in told.asked
    rows = found.content("commands/conntrack_-L_ipv4")
    assert rows is not None
    assert rows.count(b"\n") == SAMPLE_ROWS + 1  # the command's line and the sample


def test_an_old_nft_without_terse_output_is_asked_again(root: Path) -> None:
    with (root / "proc/modules").open("a") as modules:
        modules.write("nf_tables 1 0 - Live 0x0\n")

    def run(argv: Sequence[str], *, timeout_s: float, most_lines: int | None = None) -> Ran | Hole:
        if argv[:2] == ("nft", "-t"):
            return Ran(b"", 1, "nft: invalid option -- 't'")
        return Ran(b"table ip old {\n}\n", 0) if argv[0] == "nft" else Hole(argv[0], "not here")

    assert collect(root, run=run).content("commands/nft_list_ruleset") == b"$ nft list ruleset\ntable ip old {\n}\n"


def test_a_program_that_fails_leaves_its_first_words_as_the_reason(root: Path) -> None:
    with (root / "proc/modules").open("a") as modules:
        modules.write("nf_conntrack_netlink 1 0 - Live 0x0\n")

    def run(argv: Sequence[str], *, timeout_s: float, most_lines: int | None = None) -> Ran | Hole:
        return Ran(b"", 1, "conntrack v1.4: Operation failed: such record\nmore")

    assert Hole("conntrack -S", "conntrack v1.4: Operation failed: such record", "") in collect(root, run=run).holes


def test_without_time_nothing_is_run_and_every_gap_is_named(root: Path) -> None:
    told = Told(iptables_legacy_save="*nat\n")
    found = collect(root, budget_s=0, run=told)
    assert not [argv for argv in told.asked if argv[0] != "journalctl"]
    assert any("no time left" in hole.why for hole in found.holes)
    assert found.content("proc/sys/net/netfilter/nf_conntrack_max") == b"1548576\n"


def test_an_empty_root_gives_holes_and_no_facts(tmp_path: Path) -> None:
    found = collect(tmp_path)
    assert found.artefacts == []
    assert {"/proc/version", "/proc/meminfo"} <= {hole.what for hole in found.holes}


def test_the_snapshot_is_of_this_host_and_of_a_namespace_apart(root: Path) -> None:
    found = collect(root)
    found.namespaces.append(Namespace(key="blue", inode=4026532177, role="container"))
    found.artefacts.append(Artefact("netns/blue/proc/sys/net/netfilter/nf_conntrack_count", b"7\n"))
    seen = snapshot(found)
    assert seen.live
    assert [(host.name, host.role) for host in seen.hosts] == [("xen1", "host"), ("xen1.netns.blue", "container")]
    host, inner = seen.hosts
    values = {(fact.name, fact.standing): fact.number for fact in host.of(Setting)}
    assert values["nf_conntrack_max", "shown"] == 1548576
    assert values["nf_conntrack_max", "configured"] == 65536
    assert [fact.number for fact in inner.of(Setting)] == [7]
    assert [fact.kind for fact in host.of(LogLine)] == ["table-full"]
    assert any(fact.release == "3.2.0-54-virtual" for fact in host.of(KernelRelease))
    assert host.composition is not None
    assert host.composition.rows == SAMPLE_ROWS
    assert seen.holes


def test_kube_proxy_s_flags_and_its_conntrack_block_are_kept_and_nothing_else_of_them(root: Path) -> None:
    (root / "proc/77/root/var/lib").mkdir(parents=True)
    (root / "proc/77/comm").write_text("kube-proxy\n")
    (root / "proc/77/cmdline").write_bytes(b"kube-proxy\0--config=/var/lib/kp.conf\0--token=abc\0--conntrack-min=9\0")
    (root / "proc/77/root/var/lib/kp.conf").write_text(
        "kind: KubeProxyConfiguration\nclientConnection:\n  secret: 1\nconntrack:\n  maxPerCore: 0\n"
    )
    found = collect(root)
    assert found.content("commands/kube-proxy") == b"kube-proxy --config=/var/lib/kp.conf --conntrack-min=9\n"
    assert found.content("commands/kube-proxy_config") == b"kind: KubeProxyConfiguration\nconntrack:\n  maxPerCore: 0\n"


@pytest.mark.parametrize(
    ("cgroup", "container"),
    [
        ("0::/system.slice/docker-0123456789abcdef0123456789abcdef.scope", "0123456789ab"),
        ("12:pids:/docker/0123456789abcdef0123456789abcdef\n0::/", "0123456789ab"),
        ("0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod9f.slice/cri-containerd-fedcba9876543210fedc.scope", "fedcba987654"),
        ("0::/machine.slice/libpod-fedcba9876543210fedc.scope/container", "fedcba987654"),
        ("0::/lxc.payload.web", "web"),
        ("0::/machine.slice/systemd-nspawn@buster.service", "buster"),
        ("0::/user.slice/user-1000.slice/session-1.scope", None),
        ("", None),
    ],
)  # fmt: skip
def test_a_container_is_told_from_its_cgroup(cgroup: str, container: str | None) -> None:
    assert netns.container_of(cgroup) == container


@pytest.mark.parametrize(
    ("member", "host", "inner"),
    [
        ("web01/proc/net/nf_conntrack", "web01", "proc/net/nf_conntrack"),
        ("./web01/netns/blue/proc/modules", "web01.netns.blue", "proc/modules"),
        ("web01/netns/blue", "web01", "netns/blue"),
        ("web01", "web01", ""),
    ],
)
def test_a_member_s_place_says_whose_it_is(member: str, host: str, inner: str) -> None:
    assert host_of(member) == (host, inner)


@pytest.mark.parametrize("name", ["../../etc", "a/b", "-rf", ".hidden", "", "π", "x" * 300])
def test_a_folder_s_name_stays_in_its_place(name: str) -> None:
    plain = safe(name)
    assert plain
    assert "/" not in plain
    assert plain[0] not in ".-"
    assert len(plain) <= 100


def test_what_is_for_people_alone_is_not_read() -> None:
    assert not for_reader("MANIFEST.json")
    assert not for_reader("proc/loadavg")
    assert for_reader("proc/net/stat/nf_conntrack")


def test_the_iptables_that_speaks_nft_is_told_by_its_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, target in (("iptables-save", "xtables-nft-multi"), ("ip6tables-save", "xtables-legacy-multi")):
        (tmp_path / target).touch(mode=0o755)
        (tmp_path / name).symlink_to(target)
    monkeypatch.setattr(programs, "FOLDERS", (str(tmp_path),))
    assert programs.speaks_nft("iptables-save")
    assert not programs.speaks_nft("ip6tables-save")
    assert not programs.speaks_nft("arptables-save")


def test_this_host_is_collected_by_whoever_asks() -> None:
    found = collect(budget_s=30)
    assert found.host
    assert found.kernel == os.uname().release
    assert isinstance(found, Collection)
    assert found.content("proc/meminfo")
    assert snapshot(found).hosts[0].role == "host"
