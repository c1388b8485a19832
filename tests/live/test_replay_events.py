"""Recorded events as lives of entries; expected by counting lines, and beside a real ``conntrack -E``."""

import subprocess
import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tablefull.errors import UsageError
from tablefull.live.replay import Setting
from tablefull.live.replay_events import lines_of, read, rebuild

SECOND = 1_000_000_000
BEGAN = 1_733_000_000


def event(second: float, kind: str, port: int, left: int | None = 30, more: str = "") -> str:
    """A line as conntrack-tools 1.4.7 prints it."""
    what = {"NEW": "    [NEW]", "UPDATE": " [UPDATE]", "DESTROY": "[DESTROY]"}[kind]
    timeout = "" if left is None else f"{left} "
    ends = f"src=10.0.0.1 dst=10.0.0.2 sport={port} dport=53"
    back = f"src=10.0.0.2 dst=10.0.0.1 sport=53 dport={port}"
    return f"[{BEGAN + second:.6f}]\t{what} udp      17 {timeout}{ends} {more}{back}\n"


def counts(lines: list[str], interval_s: float = 1, **sysctls: str) -> list[int]:
    found = rebuild(read(lines, "x"), [Setting("x", sysctls=sysctls)], round(interval_s * SECOND))
    return [sample.entries for sample in found.outcomes[0].samples]


LIVES = [
    event(0, "NEW", 1),
    event(1, "NEW", 2),
    event(2, "DESTROY", 1, None),
    event(3, "NEW", 3),
    event(4, "DESTROY", 2, None),
    event(6, "DESTROY", 3, None),
]


def test_how_many_there_were() -> None:
    recording = read(LIVES, "x")
    assert (recording.events, recording.lines, recording.undated) == (6, 6, 0)
    assert (recording.last_ns - recording.first_ns) == 6 * SECOND
    found = rebuild(recording, [Setting("x")], SECOND)
    (outcome,) = found.outcomes
    assert (outcome.peak, outcome.peak_ns - found.first_ns, outcome.count, outcome.limit) == (2, SECOND, 0, None)
    # At seconds 1 to 6; what ends in the very second is gone.
    assert [sample.entries for sample in outcome.samples] == [2, 1, 2, 1, 1, 0]


def test_a_limit_says_when_a_new_one_would_have_found_no_room() -> None:
    found = rebuild(read(LIVES, "x"), [Setting("x", sysctls={"max": "1"})], SECOND)
    (outcome,) = found.outcomes
    # The second at 1 s meets the first; the third at 3 s finds the first gone and the second never admitted.
    assert (outcome.refused, outcome.peak) == (1, 1)
    assert outcome.refused_from_ns == outcome.refused_to_ns == (BEGAN + 1) * SECOND
    assert any("no packets" in note for note in outcome.notes)


def test_what_was_there_at_the_start_stays_above_a_lower_limit() -> None:
    """The limit is asked when an entry is made: two that were there, the third is refused, the fourth finds room."""
    lines = [
        event(0, "UPDATE", 1, 300), event(0, "UPDATE", 2, 300), event(1, "NEW", 3, 300), event(2, "DESTROY", 1, None),
        event(2.5, "DESTROY", 2, None), event(3, "NEW", 4, 300), event(4, "UPDATE", 4, 300),
    ]  # fmt: skip
    (outcome,) = rebuild(read(lines, "x"), [Setting("x", sysctls={"max": "1"})], SECOND).outcomes
    assert (outcome.refused, outcome.peak, outcome.count) == (1, 2, 1)
    assert outcome.refused_from_ns == (BEGAN + 1) * SECOND


def test_what_was_there_before_the_recording() -> None:
    """An update or an end without a beginning: it lived from the first moment on."""
    assert counts([event(0, "NEW", 1), event(5, "DESTROY", 9, None), event(6, "NEW", 2)]) == [2, 2, 2, 2, 1, 2]


def test_a_shorter_timeout_moves_the_ends_of_those_that_died_of_it() -> None:
    lines = [event(0, "NEW", 1, 30), event(1, "NEW", 2, 30), event(30.5, "DESTROY", 1, None), event(40, "NEW", 3)]
    longer = counts(lines, 10)
    shorter = counts(lines, 10, nf_conntrack_udp_timeout="5")
    assert longer == [2, 2, 2, 2]  # the second was never destroyed; the third begins in the last moment
    assert shorter == [1, 1, 1, 2]  # the first ends at 5 s; nobody saw the second die
    killed = [event(0, "NEW", 1, 30), event(3, "DESTROY", 1, None), event(9, "NEW", 2)]
    assert counts(killed, 3, nf_conntrack_udp_timeout="8") == [0, 0, 1]  # it did not die of the timeout


def test_state_decides_which_timeout_is_meant() -> None:
    ends = "src=1.1.1.1 dst=2.2.2.2 sport=5 dport=80 src=2.2.2.2 dst=1.1.1.1 sport=80 dport=5"
    lines = [
        f"[{BEGAN}.000000]\t    [NEW] tcp      6 120 SYN_SENT {ends}\n",
        f"[{BEGAN + 1}.000000]\t [UPDATE] tcp      6 120 TIME_WAIT {ends} [ASSURED]\n",
        f"[{BEGAN + 121}.000000]\t[DESTROY] tcp      6 {ends} [ASSURED]\n",
        event(200, "NEW", 1),
    ]
    assert counts(lines, 50) == [1, 1, 0, 1]
    assert counts(lines, 50, nf_conntrack_tcp_timeout_time_wait="10") == [0, 0, 0, 1]
    assert counts(lines, 50, nf_conntrack_tcp_timeout_syn_sent="10") == [1, 1, 0, 1]


def test_bad_lines_and_bad_clocks() -> None:
    lines = [
        "no event at all\n",
        "src=" + "x" * 5000 + "\n",
        "    [NEW] udp      17 30 src=1.1.1.1 dst=2.2.2.2 sport=1 dport=2 src=2.2.2.2 dst=1.1.1.1 sport=2 dport=1\n",
        event(5, "NEW", 1),
        event(3, "NEW", 2),
    ]
    recording = read(lines, "x")
    assert (recording.lines, recording.events, recording.undated, recording.backwards) == (5, 2, 1, 1)
    assert recording.first_ns == recording.last_ns == (BEGAN + 5) * SECOND
    assert list(lines_of([b"a\xff\n"])) == ["a\\xff\n"]


def test_what_events_cannot_answer() -> None:
    recording = read(LIVES, "x")
    with pytest.raises(UsageError, match="--notrack needs packets"):
        rebuild(recording, [Setting("x", notrack="udp")])
    with pytest.raises(UsageError, match="not a whole number"):
        rebuild(recording, [Setting("x", sysctls={"max": "many"})])
    with pytest.raises(UsageError, match="samples; name a longer one"):
        rebuild(recording, [Setting("x")], 1)


def test_who_held_it() -> None:
    held = rebuild(read(LIVES[:2], "x"), [Setting("x")]).outcomes[0].held
    assert held is not None
    assert (held.count, held.sources, held.ports) == (2, (("10.0.0.1", 2),), (("udp/53", 2),))


def test_of_two_addresses_in_every_entry_neither_is_the_hosts_own() -> None:
    assert rebuild(read(LIVES[:2], "x"), [Setting("x")]).outcomes[0].held.own == ()  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("setting", "why"),
    [
        (Setting("x", sysctls={"nf_conntrack_udp_timeot": "5"}), "did you mean nf_conntrack_udp_timeout"),
        (Setting("x", sysctls={"max": "-1"}), "nf_conntrack_max=-1: the kernel takes 0 to"),
        (Setting("x", sysctls={"nf_conntrack_udp_timeout": "99999999999999999999"}), "the kernel takes 0 to"),
        (Setting("x", sysctls={"nf_conntrack_gre_timeout": "5"}, kernel="3.2"), "does not exist on Linux 3.2"),
        (Setting("x", kernel="six"), "'six' is no kernel release"),
    ],
)
def test_a_setting_that_a_kernel_would_refuse_is_refused_here_too(setting: Setting, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        rebuild(read(LIVES, "x"), [Setting("x"), setting])


@pytest.mark.parametrize("name", ["max", "nf_conntrack_max", "net.netfilter.nf_conntrack_max", "net.nf_conntrack_max"])
def test_a_limit_by_any_of_its_names_and_the_last_one_counts(name: str) -> None:
    (outcome,) = rebuild(
        read(LIVES, "x"), [Setting("x", sysctls={"net/netfilter/nf_conntrack_max": "7", name: "0x1"})]
    ).outcomes
    assert (outcome.limit, outcome.refused) == (1, 1)
    (outcome,) = rebuild(read(LIVES, "x"), [Setting("x", sysctls={name: "0"})]).outcomes
    assert (outcome.limit, outcome.refused, outcome.peak) == (0, 0, 2)


def test_the_same_tuple_in_another_zone_is_another_entry() -> None:
    """Both directions of a zone stand at the end of a line: conntrack-tools print ``zone=``."""
    in_zone = [
        event(second, kind, 1, left).replace("\n", " zone=5\n")
        for second, kind, left in ((0, "NEW", 30), (3, "DESTROY", None))
    ]
    plain = [event(1, "NEW", 1), event(2, "DESTROY", 1, None)]
    assert counts([in_zone[0], *plain, in_zone[1]]) == [2, 1, 0]


def test_a_peak_between_two_samples_is_in_the_high_of_its_interval() -> None:
    burst = [event(1 + port / 100, "NEW", port) for port in range(1, 6)]
    over = [event(2 + port / 100, "DESTROY", port, None) for port in range(1, 6)]
    (outcome,) = rebuild(
        read([event(0, "NEW", 9), *burst, *over, event(9, "NEW", 10)], "x"), [Setting("x")], 3 * SECOND
    ).outcomes
    assert [(sample.entries, sample.high) for sample in outcome.samples] == [(1, 6), (1, 1), (2, 2)]


@given(st.sets(st.integers(1, 6)), st.lists(st.tuples(st.integers(1, 6), st.integers(1, 3)), min_size=1, max_size=40))
def test_every_sample_counts_what_a_set_kept_by_hand_holds(before: set[int], steps: list[tuple[int, int]]) -> None:
    """Each step ends the entry of a port that has one and begins that of a port that has none, a second or more on."""
    before &= {port for port, _ in steps}  # an entry that no event names is not known
    living, now, lines, held = set(before), 0, [], {0: len(before)}
    for port, pause in steps:
        held |= dict.fromkeys(range(now, now + pause), len(living))
        now += pause
        lines.append(event(now, "DESTROY", port, None) if port in living else event(now, "NEW", port))
        living ^= {port}
    held[now] = len(living)
    first = steps[0][1]
    if first < now:
        assert counts(lines) == [held[second] for second in range(first + 1, now + 1)]
    (outcome,) = rebuild(read(lines, "x"), [Setting("x", sysctls={"max": "2"})], SECOND).outcomes
    assert outcome.peak <= max(2, len(before))
    living, inside, refused = set(before), set(before), 0
    for port, _ in steps:
        if port in living:
            inside.discard(port)
        elif len(inside) >= 2:
            refused += 1
        else:
            inside.add(port)
        living ^= {port}
    assert outcome.refused == refused


@pytest.mark.realkernel
def test_a_real_recording(program: Callable[[str], str]) -> None:
    """Five entries made and flushed in a namespace: the recording holds five lives, and none is left at the end."""
    name = "tablefull-events"
    conntrack, ip = program("conntrack"), program("ip")
    subprocess.run([ip, "netns", "add", name], check=True)
    follower = None
    try:
        inside = [ip, "netns", "exec", name]
        follower = subprocess.Popen(
            [*inside, "stdbuf", "-oL", conntrack, "-E", "-o", "timestamp"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            shown = subprocess.run([*inside, "cat", "/proc/net/netlink"], capture_output=True, text=True, check=True)
            if any(line.split()[1] == "12" and line.split()[3] != "00000000" for line in shown.stdout.splitlines()[1:]):
                break
        for port in range(1001, 1006):
            subprocess.run(
                [*inside, conntrack, "-I", "-p", "udp", "-s", "10.0.0.1", "-d", "10.0.0.2", "--sport", str(port),
                 "--dport", "53", "-t", "100"],
                check=True, capture_output=True,
            )  # fmt: skip
        subprocess.run([*inside, conntrack, "-F"], check=True, capture_output=True)
        lines = [follower.stdout.readline().decode() for _ in range(10)]  # type: ignore[union-attr]
    finally:
        if follower is not None:
            follower.kill()
            follower.communicate(timeout=10)
        subprocess.run([ip, "netns", "del", name], check=True)
    recording = read(lines, "x")
    assert recording.events == 10
    (outcome,) = rebuild(recording, [Setting("x")]).outcomes
    assert (outcome.peak, outcome.count) == (5, 0)
