"""Collecting clues for one cause: from phrases, from facts, from what speaks against it."""

from tablefull.facts.origin import Basis, Origin
from tablefull.rules.case import Case
from tablefull.rules.finding import Ask, Clue, Finding, Severity, finding, fuse


class Clues:
    """The clues of one cause in one case. Truthy once there is any."""

    def __init__(self, case: Case, cause: str) -> None:
        self.case = case
        self.cause = cause
        self.found: list[Clue] = []
        self.scale = 1.0

    def __bool__(self) -> bool:
        return bool(self.found)

    def said(self, weight: float, why: str, *phrases: str) -> Origin | None:
        """A clue where one of the phrases stands in the text (``Case.said``); prose alone has the basis ``unknown``."""
        origin = self.case.said(*phrases)
        if origin is not None:
            self.found.append(Clue(weight, why, (origin,), "unknown"))
        return origin

    def together(self, weight: float, why: str, *groups: str) -> bool:
        """A clue where every group (``a|b|c``) has a phrase somewhere in the text."""
        origins = [self.case.said(group) for group in groups]
        if any(origin is None for origin in origins):
            return False
        self.found.append(Clue(weight, why, tuple(dict.fromkeys(o for o in origins if o is not None)), "unknown"))
        return True

    def add(self, weight: float, why: str, *origins: Origin, basis: Basis = "shown") -> None:
        """A clue from facts."""
        self.found.append(Clue(weight, why, tuple(origins), basis))

    def against(self, factor: float) -> None:
        """Something speaks against the whole: scale what the clues give."""
        self.scale *= factor

    @property
    def weight(self) -> float:
        """What the clues give together so far."""
        return fuse(self.found) * self.scale

    def finding(
        self,
        *fixes: str,
        severity: Severity = "degraded",
        host: str | None = None,
        confirm: tuple[Ask, ...] = (),
        look_alike: str | None = None,
    ) -> Finding:
        """The finding of all clues, on the host whose line is the strongest clue's."""
        strongest = max(self.found, key=lambda one: one.weight)
        where = host or host_of(self.case, strongest.evidence[0] if strongest.evidence else None)
        return finding(
            self.cause,
            where,
            self.found,
            fixes=fixes,
            severity=severity,
            confirm=confirm,
            look_alike=look_alike,
            scale=self.scale,
        )


def host_of(case: Case, origin: Origin | None) -> str:
    """The name of the host that holds a line; the first host where the line is nobody's."""
    if origin is not None:
        for host in case.hosts:
            if origin in host.prose or origin in host.typed or any(fact.origin == origin for fact in host.facts):
                return host.name
    return case.hosts[0].name
