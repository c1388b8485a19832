"""Names in a bundle: a namespace is a host of its own, and no name of one leads anywhere else."""

from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tablefull.facts.origin import Hole
from tablefull.live.collection import (
    Artefact,
    Collection,
    Namespace,
    for_reader,
    host_name,
    host_of,
    place_of,
    safe,
    with_key,
)

hostile = st.text() | st.lists(st.sampled_from(["..", ".", "/", "\\", "-", "~", "\0", "a", "é", "\n"])).map("".join)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("web01", "web01"),
        ("web01.example.org", "web01.example.org"),
        ("qrouter-5f2c_a", "qrouter-5f2c_a"),
        ("..", "unnamed"),
        (".", "unnamed"),
        ("", "unnamed"),
        ("///", "unnamed"),
        ("../../etc", "etc"),
        ("a/../b", "a-..-b"),
        ("-rf", "rf"),
        (".hidden", "hidden"),
        ("a b\nc", "a-b-c"),
        ("zürich", "z-rich"),
        ("٣", "unnamed"),
        ("x" * 300, "x" * 100),
    ],
)
def test_a_name_becomes_one_folder(name: str, wanted: str) -> None:
    assert safe(name) == wanted


@given(hostile)
def test_nothing_moves_up(name: str) -> None:
    made = safe(name)
    assert PurePosixPath("/bundle", made).parent == PurePosixPath("/bundle")
    assert made not in {"", ".", ".."}
    assert not made.startswith((".", "-"))
    assert set(made) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
    assert len(made) <= 100
    assert safe(made) == made


@pytest.mark.parametrize(
    ("member", "wanted"),
    [
        ("web01/proc/meminfo", ("web01", "proc/meminfo")),
        ("./web01/proc/meminfo", ("web01", "proc/meminfo")),
        ("web01/netns/blue/proc/x", ("web01.netns.blue", "proc/x")),
        ("web01/netns/blue/proc/sys/net/netfilter/nf_conntrack_max",
         ("web01.netns.blue", "proc/sys/net/netfilter/nf_conntrack_max")),
        ("web01/netns/blue", ("web01", "netns/blue")),
        ("web01/netns", ("web01", "netns")),
        ("web01/MANIFEST.json", ("web01", "MANIFEST.json")),
        ("web01", ("web01", "")),
        ("web01/commands/netns/x", ("web01", "commands/netns/x")),
    ],
)  # fmt: skip
def test_host_and_path_of_a_member(member: str, wanted: tuple[str, str]) -> None:
    assert host_of(member) == wanted


@given(hostile, hostile, st.sampled_from(["proc/meminfo", "proc/sys/net/netfilter/nf_conntrack_max", "commands/ss"]))
def test_what_is_written_is_found_again(host: str, key: str, path: str) -> None:
    assert host_of(f"{safe(host)}/{path}") == (safe(host), path)
    assert host_of(f"{safe(host)}/netns/{safe(key)}/{path}") == (host_name(safe(host), safe(key)), path)
    assert place_of(f"netns/{safe(key)}/{path}") == (safe(key), path)
    assert place_of(path) == (None, path)


@given(hostile)
def test_any_member_has_a_host_and_a_path(member: str) -> None:
    host, path = host_of(member)
    assert member.endswith(path)
    assert "/" not in host


def test_the_name_of_a_namespace_on_its_host() -> None:
    assert host_name("web01", "blue") == "web01.netns.blue"
    assert host_name("web01", None) == "web01"


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("proc/sys/net/netfilter/nf_conntrack_max", True),
        ("proc/meminfo", True),
        ("proc/version", True),
        ("commands/dmesg", True),
        ("etc/os-release", True),
        ("MANIFEST.json", False),
        ("hostname", False),
        ("proc/sys/kernel/hostname", False),
        ("proc/loadavg", False),
        ("proc/uptime", True),
        ("cgroup", False),
    ],
)
def test_what_the_parsers_are_given(path: str, answer: bool) -> None:
    assert for_reader(path) is answer
    assert for_reader(host_of(f"web01/netns/blue/{path}")[1]) is answer


def test_the_content_of_an_artefact_is_absent_where_it_was_not_collected() -> None:
    made = Collection(host="web01", artefacts=[Artefact("proc/version", b""), Artefact("proc/x", b"1")])
    assert (made.content("proc/version"), made.content("proc/x"), made.content("proc/y")) == (b"", b"1", None)


def test_two_collections_share_nothing() -> None:
    one, other = Collection(host="a"), Collection(host="b")
    one.holes.append(Hole("/proc/slabinfo", "permission denied"))
    assert (other.holes, other.artefacts, other.namespaces) == ([], [], [])


def test_another_key_changes_nothing_else() -> None:
    space = Namespace(key="4026532246", inode=4026532246, role="container", pid=7, processes=2, command="nginx")
    moved = with_key(space, "web", "web-1")
    assert moved == Namespace(
        key="web", inode=4026532246, role="container", pid=7, processes=2, command="nginx", hostname="web-1"
    )
    assert with_key(moved, "w").hostname == "web-1"
    assert space.key == "4026532246"
