"""Events whose every entry is counted by hand."""

from tablefull.live import replay_events
from tablefull.live.plan_runs import Events


def line(when: float, kind: str, port: int, left: int | None, dport: int = 53, src: str = "10.0.0.1") -> str:
    told = f"{left} " if left is not None else ""
    return (
        f"[{when:.6f}]\t    [{kind}] udp      17 {told}src={src} dst=10.9.0.1 sport={port} dport={dport} [UNREPLIED]"
        f" src=10.9.0.1 dst={src} sport={dport} dport={port}"
    )


def steady(begins: int = 200, lifetime: int = 30, dport: int = 53, src: str = "10.0.0.1") -> list[str]:
    """One query a second, each of which dies of its timeout: from second 30 on there are 30."""
    events = []
    for at in range(begins):
        events.append((at, 1, line(1000 + at, "NEW", 1024 + at, lifetime, dport, src)))
        if at + lifetime < begins:
            events.append((at + lifetime, 0, line(1000 + at + lifetime, "DESTROY", 1024 + at, None, dport, src)))
    return [text for _, _, text in sorted(events)]


def evidence(lines: list[str]) -> Events:
    return Events(replay_events.read(lines, "by hand"), "6.18", {})
