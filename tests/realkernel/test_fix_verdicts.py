"""Rulesets made up at random: a service that a fix exempts without a word of warning still answers, or the maker is
wrong. And where it is refused, the kernel is asked whether the refusal was needed.
"""

import os
import random
import socket
from collections import Counter
from collections.abc import Callable

import pytest
from tests.realkernel.namespace import Namespace
from tests.realkernel.wired import apply, opened, pair, state, undo

from tablefull.fixes.live_host import LiveHost, Options
from tablefull.fixes.steps import plan

pytestmark = pytest.mark.realkernel
PORT = 5353
PROVE = "TABLEFULL_PROVE_SEEDS" in os.environ  # with `make prove`
CASES, SEEDS = (24, range(3)) if PROVE else (10, range(1))

# What people write: by state, by port, by both, by interface, by source, and the other way round.
MATCHES = (
    ("-m conntrack --ctstate ESTABLISHED,RELATED", "ct state established,related"),
    ("-m conntrack --ctstate NEW", "ct state new"),
    ("-m conntrack --ctstate INVALID", "ct state invalid"),
    ("-m conntrack ! --ctstate NEW,ESTABLISHED", "ct state != {{ new, established }}"),
    ("-m conntrack --ctstate UNTRACKED", "ct state untracked"),
    ("-p udp --{here} {port}", "udp {here} {port}"),
    ("-p udp --{here} {port} -m conntrack --ctstate NEW", "udp {here} {port} ct state new"),
    ("-p udp -m multiport --{here}s 53,{port}", "udp {here} {{ 53, {port} }}"),
    ("-p udp ! --{here} {port}", "udp {here} != {port}"),
    ("-p tcp --{here} 22", "tcp {here} 22"),
    ("-{way} w1b -p udp --{here} {port}", '{way}ifname "w1b" udp {here} {port}'),
    ("-{way} lo", '{way}ifname "lo"'),
    ("-{side} 10.9.1.0/24", "ip {side}addr 10.9.1.0/24"),
    ("-{side} 10.8.0.0/16", "ip {side}addr 10.8.0.0/16"),
    ("", ""),
)
# Drops of everything and accepts of everything are rare, so that most rulesets do something.
VERDICTS = ("accept", "accept", "accept", "drop", "return", "jump")


def drawn(dice: random.Random, chain: str, *, may_jump: bool = True) -> list[tuple[str, str]]:
    """Rules of a chain as (iptables, nft) pairs."""
    words = (
        {"here": "dport", "way": "i", "side": "s"} if chain == "input" else {"here": "sport", "way": "o", "side": "d"}
    )
    found = []
    for _ in range(dice.randrange(1, 5)):
        old, new = dice.choice(MATCHES)
        verdict = dice.choice(VERDICTS if may_jump else VERDICTS[:5])
        if not old and verdict in ("accept", "drop") and dice.random() < 0.7:
            continue
        target = f"-j {verdict.upper()}" if verdict != "jump" else f"-j more_{chain}"
        nft = verdict if verdict != "jump" else f"jump more_{chain}"
        found.append((f"{old} {target}".format(port=PORT, **words), f"{new} {nft}".format(port=PORT, **words)))
    return found


def ruled(space: Namespace, dice: random.Random, how: str) -> None:
    """A random ruleset in the namespace, in one transaction."""
    policies = {chain: dice.choice(("accept", "drop", "drop")) for chain in ("input", "output")}
    mains = {chain: drawn(dice, chain) for chain in policies}
    more = {chain: drawn(dice, chain, may_jump=False) for chain in policies}
    if how == "nft":
        lines = ["table inet f {"]
        for chain, rules in more.items():
            lines += [f"chain more_{chain} {{", *(new for _, new in rules), "}"]
        for chain, rules in mains.items():
            lines += [f"chain {chain} {{", f"type filter hook {chain} priority 0; policy {policies[chain]};"]
            lines += [*(new for _, new in rules), "}"]
        space.run("nft", "-f", "-", text="\n".join((*lines, "}")) + "\n")
        return
    lines = ["*filter", *(f":{chain.upper()} {policy.upper()} [0:0]" for chain, policy in policies.items())]
    lines += [f":more_{chain} - [0:0]" for chain in more]
    lines += [f"-A more_{chain} {old}" for chain, rules in more.items() for old, _ in rules]
    lines += [f"-A {chain.upper()} {old}" for chain, rules in mains.items() for old, _ in rules]
    for tool in ("iptables-legacy", "ip6tables-legacy"):
        space.run(tool, "-t", "raw", "-nL")  # the tables are there before: the old iptables never takes one away
    space.run("iptables-legacy-restore", text="\n".join((*lines, "COMMIT")) + "\n")


def answers(client: Namespace, server: Namespace) -> bool:
    with opened(server, socket.AF_INET, socket.SOCK_DGRAM) as there, opened(client, 2, 2) as here:
        there.settimeout(0.1)
        here.settimeout(0.1)
        there.bind(("10.9.1.2", PORT))
        try:
            for _ in range(2):  # the second question finds the state that the first one has left
                here.sendto(b"?", ("10.9.1.2", PORT))
                there.sendto(b"!", there.recvfrom(9)[1])
                here.recv(9)
        except OSError:  # also where a rule refuses to send
            return False
    return True


@pytest.mark.parametrize("how", ["nft", "legacy"])
@pytest.mark.parametrize("seed", SEEDS)
def test_no_service_is_cut_off_without_a_word(
    how: str, seed: int, record_property: Callable[[str, object], None]
) -> None:
    dice = random.Random(f"{how}{seed}")
    seen: Counter[str] = Counter()
    while (seen["served"] < CASES or not seen["refused, and cut off"]) and seen.total() < 400:
        with pair() as (client, server):
            ruled(server, dice, how)
            if not answers(client, server):
                seen["not served before"] += 1
                continue
            seen["served"] += 1
            before = state(server)
            server.run("conntrack", "-F")
            asked = Options(ports=(f"udp/{PORT}",))
            made = plan("notrack", LiveHost(netns=str(server.pid)), asked)
            if made.refused:
                forced = plan("notrack", LiveHost(netns=str(server.pid)), Options(ports=asked.ports, i_know=True))
                apply(server, forced)
                seen["refused, and cut off" if not answers(client, server) else "refused, and served"] += 1
                undo(server, forced)
            else:
                apply(server, made)
                assert answers(client, server), before["nft"] + before["iptables"]
                assert server.count() == 0
                seen["done, and served"] += 1
                undo(server, made)
            assert state(server) == before
            assert answers(client, server)
    record_property("verdicts", dict(seen))
    assert seen["done, and served"] >= CASES // 4
    assert seen["refused, and cut off"] >= 1
