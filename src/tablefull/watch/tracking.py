"""Tracking as it is turned on and off: look, hear who changes rules, look again, tell what became different.

The trap: who is heard is not yet who did it. A rule set is replaced a moment after iptables asks for it, most changes
of rules turn nothing on, and where the kernel tells nobody a change is found by looking. So a change is told from two
looks, and laid at the door only of somebody who was heard between them in that namespace.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from threading import Event
from typing import Protocol

from msgspec import Struct

from tablefull.live.collection import Namespace
from tablefull.live.rule_news import RuleNews, Who
from tablefull.live.why import Looker, Space
from tablefull.rules.holds import Hold, State

AGAIN_S = (0.05, 0.4, 1.5)  # after something was heard: a large rule set takes a while
FOLD_S = 0.02  # what is heard together is looked at once


class Turned(Struct, frozen=True, kw_only=True):
    """Families of a namespace, from one state to another; the reasons that ``came`` and that ``went``."""

    space: str
    families: tuple[str, ...]
    before: State
    after: State
    who: tuple[Who, ...]
    came: tuple[Hold, ...] = ()
    went: tuple[Hold, ...] = ()


class Reasons(Struct, frozen=True, kw_only=True):
    """The states stay, the reasons do not."""

    space: str
    who: tuple[Who, ...]
    came: tuple[Hold, ...] = ()
    went: tuple[Hold, ...] = ()


class Appeared(Struct, frozen=True):
    """A namespace that is new, or (``gone``) is no more. ``who`` was heard in it before it was looked at."""

    space: Space
    gone: bool = False
    who: tuple[Who, ...] = ()


class Missed(Struct, frozen=True):
    """So many notices were lost; the looks go on."""

    count: int


News = Turned | Reasons | Appeared | Missed


class Heard(Protocol):
    """Who changes rules, as ``live.rule_news.RuleWatch`` hears it."""

    lost: int

    def listen(self, spaces: Mapping[str, tuple[str | None, int | None]]) -> None:
        """In these namespaces."""

    def wait(self, seconds: float) -> list[RuleNews]:
        """What is heard in that time."""


Chosen = Iterable[Namespace | None]


class TrackingWatch:
    """``find`` lists the namespaces anew; None: those given are all. ``clock``: seconds that only grow."""

    def __init__(
        self,
        looker: Looker,
        spaces: Chosen,
        heard: Heard,
        tell: Callable[[News], None],
        clock: Callable[[], float],
        find: Callable[[], Chosen] | None = None,
    ) -> None:
        self.looker, self.heard, self._tell, self._clock, self._find = looker, heard, tell, clock, find
        self.turned_on = False
        self._left = False
        self._chosen: dict[str, Namespace | None] = {}
        self._last: dict[str, Space] = {}
        self._who: dict[str, dict[Who, None]] = {}
        self._due: dict[str, list[float]] = {}
        self._take(spaces, told=False)

    def spaces(self) -> list[Space]:
        """What was seen last."""
        return list(self._last.values())

    def blind(self) -> bool:
        """Whether the last look could not tell, somewhere."""
        return self._left or any(one.state == "unknown" for space in self._last.values() for one in space.verdicts)

    def run(self, every_s: float, stop: Event, until: float | None = None) -> None:
        """Until ``stop`` is set or the clock shows ``until``; without news, all is looked at every so many seconds."""
        whole = self._clock() + every_s
        while self._chosen and not stop.is_set() and (until is None or self._clock() < until):
            ends = [whole, *(times[0] for times in self._due.values()), *([] if until is None else [until])]
            for news in self.heard.wait(min(0.5, max(0.0, min(ends) - self._clock()))):
                self._hear(news)
            if self.heard.lost:
                self._tell(Missed(self.heard.lost))
                self.heard.lost = 0
                whole = self._clock()
            now = self._clock()
            if now >= whole:
                self.looker.refresh()
                self._take(self._chosen.values() if self._find is None else self._find(), told=True)
                self._look(list(self._chosen))
                whole = self._clock() + every_s
            else:
                self._look([key for key, times in self._due.items() if times[0] <= now])

    def _take(self, spaces: Chosen, *, told: bool, cause: RuleNews | None = None) -> None:
        """These namespaces from now on; ``cause`` was heard in one of them."""
        chosen: dict[str, Namespace | None] = {}
        for space in spaces:
            chosen["this one" if space is None else space.key] = space
        for key in [key for key in self._last if key not in chosen]:
            gone = self._last.pop(key)
            self._due.pop(key, None)
            self._who.pop(key, None)
            if told:
                self._tell(Appeared(gone, gone=True))
        self._chosen = chosen
        addresses = {key: self.looker.address(space) for key, space in chosen.items()}
        self.heard.listen(addresses)
        for key in [key for key in chosen if key not in self._last]:
            found = self._last[key] = self.looker.space(chosen[key])
            mine = cause is not None and addresses[key][1] == cause.inode and cause.who is not None
            if told:
                self._tell(Appeared(found, who=(cause.who,) if mine and cause and cause.who else ()))
                self.turned_on |= any(verdict.state == "yes" for verdict in found.verdicts)

    def _hear(self, news: RuleNews) -> None:
        """Look where it was heard; everywhere where it is not told where."""
        keys = [news.space] if news.space in self._chosen else [] if news.space is not None else list(self._chosen)
        if news.space == "" and self._find is not None:  # a namespace that nobody knew of
            self._take(self._find(), told=True, cause=news)
            keys = [key for key, space in self._chosen.items() if self.looker.address(space)[1] == news.inode]
        now = self._clock()
        for key in keys:
            self._due[key] = [now + FOLD_S + after for after in AGAIN_S]
            if news.who is not None:
                self._who.setdefault(key, {})[news.who] = None

    def _look(self, keys: Sequence[str]) -> None:
        for key in keys:
            before, found = self._last[key], self.looker.space(self._chosen[key])
            if any(hole.what.startswith("network namespace") for hole in found.holes):
                self._due.pop(key, None)
                if self._find is None:
                    self._lost(key)
                continue
            self._last[key] = found
            if self._differs(key, before, found):
                self._who.pop(key, None)
            now = self._clock()
            times = [due for due in self._due.get(key, ()) if due > now]
            if times:
                self._due[key] = times
            elif self._due.pop(key, None) is not None:
                self._who.pop(key, None)

    def _lost(self, key: str) -> None:
        """One of those asked for cannot be entered any more."""
        self._tell(Appeared(self._last.pop(key), gone=True))
        self._chosen.pop(key)
        self._left = True

    def _differs(self, key: str, before: Space, found: Space) -> bool:
        who = tuple(self._who.get(key, ()))
        came = tuple(one for one in found.holds if one.asks and not any(_same(one, old) for old in before.holds))
        went = tuple(one for one in before.holds if one.asks and not any(_same(one, new) for new in found.holds))
        states = {verdict.family: verdict.state for verdict in before.verdicts}
        turned: dict[tuple[State, State], tuple[str, ...]] = {}
        for verdict in found.verdicts:
            step = states.get(verdict.family, "no"), verdict.state
            if step[0] != step[1]:
                turned[step] = (*turned.get(step, ()), verdict.family)
        for (earlier, later), families in turned.items():
            self.turned_on |= later == "yes"
            near, far = (tuple(one for one in some if set(families) & set(one.families)) for some in (came, went))
            self._tell(
                Turned(
                    space=key,
                    families=families,
                    before=earlier,
                    after=later,
                    who=who,
                    came=near,
                    went=far,
                )
            )
        if not turned and (came or went):
            self._tell(Reasons(space=key, who=who, came=came, went=went))
        return bool(turned or came or went)


def _same(one: Hold, other: Hold) -> bool:
    return (one.what, one.families, one.owner, one.by) == (other.what, other.families, other.owner, other.by)
