"""What is asked for next: safe on any kernel, few, and only where it decides something."""

import pytest

from tablefull.facts.snapshot import Snapshot
from tablefull.parsers.reader import read_text
from tablefull.rules import application, clouds, containers, nat, next_steps, sizing, timeouts, tracking, traffic
from tablefull.rules.case import Case
from tablefull.rules.engine import run
from tablefull.rules.finding import Ask
from tablefull.rules.next_steps import MAX_STEPS

ASKS = {
    name: value
    for module in (application, clouds, containers, nat, next_steps, sizing, timeouts, tracking, traffic)
    for name, value in vars(module).items()
    if isinstance(value, Ask)
}
# Each of these loads a module or creates a table by being run (docs/kernel 5): listing nat registers it, the conntrack
# program loads nf_conntrack_netlink, modprobe is what it is, and nft or iptables-save may load their own.
LOADING = ("iptables", "ip6tables", "modprobe", "conntrack -", "nft ", "ebtables", "insmod")
KERNELS = (
    "2.6.18-398.el5",
    "2.6.32-431.el6.x86_64",
    "3.2.0-24-generic",
    "3.10.0-1160.el7.x86_64",
    "4.14.1",
    "5.15.0-91-generic",
    "6.12.0",
)
SITUATIONS = (
    "nf_conntrack: table full, dropping packet",
    "net.netfilter.nf_conntrack_max = 2000000",
    "nf_conntrack: expectation table full",
    "an EC2 instance is slow",
    "DNS lookups from pods take 5 s",
    "",
)


def steps(text: str) -> tuple[Ask, ...]:
    case = Case(read_text(text))
    return next_steps.next_steps(case, run(case).findings)


@pytest.mark.parametrize("name", sorted(ASKS))
def test_no_question_loads_a_module(name: str) -> None:
    ask = ASKS[name]
    assert not ask.loads_modules
    # A command word is one at the start or after a separator; /proc/net/ip_tables_names holds none.
    for part in ask.command.replace("|", ";").replace("&", ";").split(";"):
        assert not part.strip().startswith(LOADING), ask.command


@pytest.mark.parametrize("release", KERNELS)
@pytest.mark.parametrize("text", SITUATIONS)
def test_what_is_asked_loads_nothing_on_any_kernel(text: str, release: str) -> None:
    for ask in steps(f"{text}\n$ uname -r\n{release}"):
        assert "-t nat" not in ask.command
        assert not ask.command.startswith(LOADING)
        assert ask.why
        assert ask.question.endswith("?")


@pytest.mark.parametrize("text", SITUATIONS)
def test_few_and_each_once(text: str) -> None:
    asked = steps(text)
    assert len(asked) <= MAX_STEPS
    assert len(set(asked)) == len(asked)


def test_a_few_log_lines_ask_for_count_composition_and_tables() -> None:
    asked = [ask.command for ask in steps("nf_conntrack: table full, dropping packet")]
    assert sizing.ASK_COUNT.command in asked
    assert sizing.ASK_COMPOSITION.command in asked
    assert tracking.ASK_TABLES.command in asked


def test_nothing_seen_asks_for_the_log_first() -> None:
    assert steps("")[0] is next_steps.ASK_LOG


def test_a_look_alike_that_names_itself_asks_nothing() -> None:
    assert steps("[771.2] neighbour: arp_cache: neighbor table overflow!") == ()


def test_what_was_shown_is_not_asked_again() -> None:
    asked = steps(
        "nf_conntrack: table full, dropping packet\nnet.netfilter.nf_conntrack_count = 65536\nnet.netfilter.nf_conntrack_max = 65536"
    )
    assert sizing.ASK_COUNT not in asked


def test_no_finding_and_no_snapshot() -> None:
    assert next_steps.next_steps(Case(Snapshot()), ())


def test_an_ip_conntrack_host_is_asked_by_its_own_names() -> None:
    case = Case(read_text("kernel: ip_conntrack: table full, dropping packet."))
    commands = [ask.command for ask in next_steps.next_steps(case, run(case).findings)]
    assert any("/proc/sys/net/ipv4/netfilter/ip_conntrack_count" in command for command in commands)
    assert not any("nf_conntrack" in command for command in commands)
