"""One incident as the rules see it: the snapshot, and quick answers to the questions every rule asks.

The trap: most reports are half machine output and half sentences. ``said`` searches both, in order, across broken
lines, and passes over what a sentence denies, so that "no SYN flood" is not evidence of one.
"""

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import TypeVar

from tablefull.facts.claims import Claim
from tablefull.facts.counters import CpuCounters, EntryStates, NetCounter, SocketStates
from tablefull.facts.entry import Composition, EntryCount
from tablefull.facts.host import Distribution, KernelRelease, Memory, Program, Slab
from tablefull.facts.kernel_log import LogLine
from tablefull.facts.modules import Module
from tablefull.facts.origin import Fact, Origin
from tablefull.facts.ruleset import FwChain, FwListing, FwRule, NoBridgePorts
from tablefull.facts.settings import Refusal, Setting
from tablefull.facts.snapshot import HostFacts, Snapshot
from tablefull.kernel.identity import KernelVersion, parse_release

F = TypeVar("F", bound=Fact)

SENTENCE_WORDS = 4  # a line of prose this long is somebody speaking
MAX_TEXT = 600_000  # characters searched for phrases; a paste is a hundredth of it
_REACH = 140  # characters within which the parts of one phrase must follow each other
_PLAIN = {ord("\u2019"): "'", ord("`"): None, ord("*"): None, ord('"'): None, 0x201C: None, 0x201D: None}
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_DENIALS = ("no |not |n't |never |without |neither |nor |none |against an |rules out ").split("|")
_DENIALS_AFTER = ("ruled out", "excluded", " but it was not", " but it is not", " protection")
_STANDINGS = {"shown": 0, "commanded": 1, "stated": 2, "configured": 3}
# Machine output whose words are names of columns, counters and settings: ``invalid=0`` is no packet called INVALID.
_NO_SENTENCES = (
    CpuCounters, EntryStates, NetCounter, SocketStates, Memory, Slab, Module, FwChain, FwListing, FwRule,
    NoBridgePorts,
)  # fmt: skip
# Messages whose own words the phrases look for; of the others the kind says everything.
_SPOKEN = ("ct-invalid", "helper-off", "bridge-filtering")
# What an input is called in a rule's ``needs`` and which facts provide it.
_INPUTS: dict[str, tuple[type[Fact], ...]] = {
    "log": (LogLine,),
    "settings": (Setting, Refusal),
    "counters": (CpuCounters, NetCounter),
    "counts": (EntryCount,),
    "rules": (FwRule, FwChain, FwListing),
    "modules": (Module,),
    "sockets": (SocketStates, NetCounter),
    "slab": (Slab,),
    "programs": (Program,),
    "claims": (Claim,),
    "memory": (Memory,),
}


class Case:
    """A snapshot with its text indexed. Nothing here decides anything."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.hosts = snapshot.hosts or [HostFacts(name="this host")]
        self.memo: dict[str, object] = {}

    # -- facts

    def of(self, kind: type[F]) -> Iterator[F]:
        """Facts of one kind on every host, in order."""
        for host in self.hosts:
            yield from host.of(kind)

    def has(self, need: str) -> bool:
        """Whether an input a rule names was seen at all. ``text`` is any line."""
        if need == "text":
            return bool(self.text) or any(host.facts for host in self.hosts)
        if need == "entries":
            return bool(self.compositions)
        return any(True for kind in _INPUTS[need] for _ in self.of(kind))

    @cached_property
    def compositions(self) -> list[tuple[HostFacts, Composition]]:
        """Every host's table listing, and the states somebody counted in one; those have no rows of their own."""
        listings = [(host, host.composition) for host in self.hosts if host.composition and host.composition.rows]
        return listings + [(host, _counted(one)) for host in self.hosts for one in host.of(EntryStates)]

    def log(self, kind: str) -> list[LogLine]:
        """The kernel-log messages of one kind."""
        return self._log_by_kind.get(kind, [])

    @cached_property
    def _log_by_kind(self) -> dict[str, list[LogLine]]:
        by_kind: dict[str, list[LogLine]] = {}
        for line in self.of(LogLine):
            by_kind.setdefault(line.kind, []).append(line)
        return by_kind

    def setting(self, name: str, *standings: str) -> Setting | None:
        """The setting by canonical name, what the kernel showed before what was typed before what was said."""
        found = [s for s in self._settings.get(name, ()) if not standings or s.standing in standings]
        return min(found, key=lambda s: _STANDINGS[s.standing], default=None)

    @cached_property
    def _settings(self) -> dict[str, list[Setting]]:
        by_name: dict[str, list[Setting]] = {}
        for one in self.of(Setting):
            by_name.setdefault(one.name, []).append(one)
        return by_name

    def settings(self, name: str) -> list[Setting]:
        """Every value seen of one setting."""
        return self._settings.get(name, [])

    def number(self, name: str, *standings: str) -> int | None:
        """The setting's number, or None where it was not seen as one."""
        one = self.setting(name, *standings)
        return one.number if one else None

    @cached_property
    def max(self) -> Setting | None:
        """The limit in force, as far as it was seen."""
        if self.readings:
            fullest = max(self.readings, key=lambda one: one[1] / one[2])[0]
            found = [s for s in fullest.of(Setting) if s.name == "nf_conntrack_max" and _in_force(s)]
            return min(found, key=lambda s: _STANDINGS[s.standing])
        found = [s for s in self.settings("nf_conntrack_max") if s.number is not None and s.standing != "configured"]
        return min(found, key=lambda s: _STANDINGS[s.standing], default=None)

    @cached_property
    def counts(self) -> list[tuple[int, Origin]]:
        """Every reading of the kernel's own count of entries."""
        readings = [(one.count, one.origin) for one in self.of(EntryCount) if one.how == "count"]
        readings += [(s.number, s.origin) for s in self.settings("nf_conntrack_count") if s.number is not None]
        return readings

    @cached_property
    def listed(self) -> list[tuple[int, Origin]]:
        """Every number of rows somebody counted in a listing: a floor of the count."""
        return [(one.count, one.origin) for one in self.of(EntryCount) if one.how == "listed"]

    @cached_property
    def readings(self) -> list[tuple[HostFacts, int, int]]:
        """For each host that shows both: its highest count and its own limit, which is never another host's."""
        found = []
        for host in self.hosts:
            own = [one.number for one in host.of(Setting) if one.name == "nf_conntrack_max" and _in_force(one)]
            counted = [
                one.number for one in host.of(Setting) if one.name == "nf_conntrack_count" and one.number is not None
            ]
            counted += [one.count for one in host.of(EntryCount)]
            if counted and own and own[0]:
                found.append((host, max(counted), own[0]))
        return found

    @cached_property
    def occupancy(self) -> float | None:
        """The highest count seen over the limit of the same host; None where no host shows both.

        One story of a single host may have them under two names (an unlabelled paste), so there they are taken
        together.
        """
        ratios = [count / limit for _, count, limit in self.readings]
        if ratios:
            return max(ratios)
        readings = self.counts + self.listed
        if len(self.hosts) > 1 or self.max is None or not self.max.number or not readings:
            return None
        return max(count for count, _ in readings) / self.max.number

    @cached_property
    def release(self) -> KernelRelease | None:
        """The first kernel release named."""
        return next(self.of(KernelRelease), None)

    @cached_property
    def kernel(self) -> KernelVersion | None:
        """The kernel's version where a release was shown or stated."""
        return parse_release(self.release.release) if self.release else None

    @cached_property
    def distribution(self) -> Distribution | None:
        """The first distribution named; one with a version before one without."""
        named = list(self.of(Distribution))
        return next((one for one in named if one.version), named[0] if named else None)

    @cached_property
    def memory_bytes(self) -> int | None:
        """Whole memory, shown before stated."""
        totals = [m for m in self.of(Memory) if m.total_bytes]
        return min(totals, key=lambda m: m.stated).total_bytes if totals else None

    def of_net(self, *names: str) -> Iterator[NetCounter]:
        """Protocol and driver counters by name."""
        return (one for one in self.of(NetCounter) if one.name in names)

    @cached_property
    def counters(self) -> dict[str, int]:
        """conntrack's own counters summed over CPUs, last listing only where several were shown; absent stays
        absent.
        """
        rows: dict[int | None, CpuCounters] = {}
        anonymous = 0
        for row in self.of(CpuCounters):
            if row.cpu is None:
                anonymous -= 1
                rows[anonymous] = row
            else:
                rows[row.cpu] = row
        sums: dict[str, int] = {}
        for row in rows.values():
            for name, value in row.values.items():
                sums[name] = sums.get(name, 0) + value
        return sums

    @cached_property
    def counter_origins(self) -> tuple[Origin, ...]:
        """The lines of the counters."""
        return tuple(row.origin for row in self.of(CpuCounters))[:4]

    @cached_property
    def old_stack(self) -> bool:
        """Whether the evidence speaks of ip_conntrack alone: kernels up to 2.6.21."""
        texts = [line.origin.text for line in self.of(LogLine)] + [one.spelled for one in self.of(Setting)]
        texts += [origin.text for host in self.hosts for origin in (*host.prose, *host.typed)]
        return any("ip_conntrack" in text for text in texts) and not any("nf_conntrack" in text for text in texts)

    # -- text

    @cached_property
    def told(self) -> bool:
        """Whether a person says something in the evidence; a collected host and bare listings say nothing."""
        lines = (origin.text.strip() for host in self.hosts for origin in host.prose)
        return any(len(line.split()) >= SENTENCE_WORDS and line[0] not in "(#;[" for line in lines)

    @cached_property
    def _lines(self) -> list[Origin]:
        seen: dict[tuple[str, int], Origin] = {}
        for host in self.hosts:
            for origin in host.prose:
                if "Modules linked in:" not in origin.text:  # a trace names every module there is
                    seen.setdefault((origin.source, origin.line), origin)
            for origin in host.typed:
                if "/proc/sys" not in origin.text and "sysctl" not in origin.text:
                    seen.setdefault((origin.source, origin.line), origin)
            for fact in host.facts:
                if isinstance(fact, _NO_SENTENCES) or (isinstance(fact, Setting) and fact.standing != "stated"):
                    continue
                if isinstance(fact, LogLine) and not fact.quoted and fact.kind not in _SPOKEN:
                    continue
                seen.setdefault((fact.origin.source, fact.origin.line), fact.origin)
        order = {source: number for number, source in enumerate(dict.fromkeys(source for source, _ in seen))}
        return [seen[key] for key in sorted(seen, key=lambda key: (order[key[0]], key[1]))]

    @cached_property
    def _indexed(self) -> tuple[str, list[int], list[Origin]]:
        parts: list[str] = []
        starts: list[int] = []
        origins: list[Origin] = []
        at = 0
        for origin in self._lines:
            shown = origin.text
            if "Conntrack" in shown:  # an alert's name in camel case: ConntrackTableFull
                shown = _CAMEL.sub(" ", shown)
            text = " ".join(shown.lower().translate(_PLAIN).split()) + "\n"
            if at + len(text) > MAX_TEXT:
                break
            parts.append(text)
            starts.append(at)
            origins.append(origin)
            at += len(text)
        return "".join(parts), starts, origins

    @cached_property
    def text(self) -> str:
        """Every sentence, log line and command seen, lower case, one space between words, a newline between lines."""
        return self._indexed[0]

    @cached_property
    def _flowing(self) -> str:
        return self.text.replace("\n", " ")

    def said(self, *phrases: str, denied: bool = False) -> Origin | None:
        """The first line in which one of the phrases stands. ``a*b`` means b after a, within reach; ``a|b`` either.

        A phrase begins at the start of a word. One that the sentence denies is passed over unless ``denied``.
        """
        return next(self._search(phrases, denied), None)

    def _search(self, phrases: Iterable[str], denied: bool) -> Iterator[Origin]:
        text = self._flowing
        for phrase in "|".join(phrases).split("|"):
            first, *rest = phrase.split("*")
            at = text.find(first)
            tries = 0
            while at >= 0 and tries < 200:
                tries += 1
                before = text[at - 1 : at]
                whole_word = not (before.isascii() and before.isalnum()) or not first[:1].isalnum()
                if (
                    whole_word
                    and self._follow(text, at + len(first), rest)
                    and (denied or not self._denied(text, at, len(first)))
                ):
                    yield self._origin(at)
                    break
                at = text.find(first, at + 1)

    @staticmethod
    def _follow(text: str, at: int, rest: list[str]) -> bool:
        for part in rest:
            found = text.find(part, at, at + _REACH)
            if found < 0:
                return False
            at = found + len(part)
        return True

    @staticmethod
    def _denied(text: str, at: int, length: int) -> bool:
        after = text[at + length : at + length + 32]
        if any(word in after.split(". ")[0] for word in _DENIALS_AFTER):
            return True
        before = text[max(0, at - 26) : at]
        for stop in (
            ". ",
            "; ",
            ": ",
            ", ",
            " but ",
            "] ",
            " because ",
            " since ",
            " as it ",
            " when ",
            " while ",
            " and ",
            " that ",
            " then ",
        ):
            cut = before.rfind(stop)
            if cut >= 0:
                before = before[cut + len(stop) :]
        before = " " + before
        return any(" " + word in before if word[0] != "n" or word[1] != "'" else word in before for word in _DENIALS)

    def _origin(self, at: int) -> Origin:
        _, starts, origins = self._indexed
        return origins[bisect_right(starts, at) - 1]


def _counted(states: EntryStates) -> Composition:
    by_state = Counter({name: count for name, count in states.by_state.items() if name not in ("UNREPLIED", "ASSURED")})
    unreplied = states.by_state.get("UNREPLIED", 0)
    rows = max(by_state.total(), unreplied, states.by_state.get("ASSURED", 0))
    return Composition(first=states.origin, rows=rows, unreplied=unreplied, by_state=by_state)


def _in_force(one: Setting) -> bool:
    return one.number is not None and one.standing in ("shown", "stated", "commanded")
