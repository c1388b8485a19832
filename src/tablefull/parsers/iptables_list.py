"""``iptables -L`` and ``ebtables -L``: chains with their policy and rules in columns.

The trap: which columns there are depends on options nobody pastes, the target column may be empty, and mail or a web
form squeezes the columns. So a rule is found by its protocol and option columns, never by position. The listing does
not name its table: the command does, else the chains.
"""

import re
from collections.abc import Sequence

from tablefull.facts.origin import Fact
from tablefull.facts.ruleset import FwChain, FwElsewhere, FwListing, FwRule
from tablefull.parsers.block import Context, Line, Read
from tablefull.parsers.iptables_command import choose_table, family_of, read_command, table_of_rule

_CHAIN = re.compile(
    r"Chain (\S{1,64}) ?\((?:policy (\S{1,16}?)(?: (\d{1,20}[KMGT]?) packets, (\d{1,20}[KMGT]?) bytes)?"
    r"|\d+ references|ERROR [^)]{1,40})\)"
)
_CHAIN_START = re.compile(r"\s*Chain \S{1,64} ?\((?:policy|\d+ ref|ERROR|$)")
_EB_TABLE = re.compile(r"\s*Bridge table: (\w+)")
_EB_CHAIN = re.compile(r"\s*Bridge chain: (\S+?),(?: entries: \d+,?)?(?: policy: (\w+))?")
_EB_COUNTS = re.compile(r"pcnt = (\d{1,20}) -- bcnt = (\d{1,20})")
_EB_RULE = re.compile(r"\s*(?:\d+\. )?(?:-[a-z] |--[a-z]|! -)")
_JUMP = re.compile(r"(?:^|\s)-j (\S+)")
_ELSEWHERE = re.compile(r"# Warning: (ip6?tables-legacy) tables present")
_HEADER_WORDS = frozenset(("num", "pkts", "bytes", "target", "prot", "opt", "in", "out", "source", "destination"))
_PROTOCOLS = frozenset(
    "all tcp udp icmp icmpv6 ipv6-icmp esp ah sctp udplite udp-lite gre ipip ipv6 ipencap igmp dccp vrrp ospf ospfigp "
    "pim l2tp mh ipv6-mh ipv6-frag ipv6-route ipv6-nonxt ipv6-opts ipcomp etherip eigrp rsvp ip hopopt "
    "egp igp mptcp".split()
)
_OPTIONS = frozenset(("--", "-f", "!f"))
# xtables_print_num of iptables' libxtables/xtables.c: above 99999 the number is divided by 1000, rounded, and so on
# to T.
_SUFFIX = {"K": 1000, "M": 1000**2, "G": 1000**3, "T": 1000**4}
_MAX_BLANK = 3
_MAX_WORDS = 400
_NEVER = "\x00"


def read(lines: Sequence[Line], at: int, context: Context) -> Read | None:
    """One whole listing of one table: its ``FwListing``, each ``FwChain``, each ``FwRule``. Stops where the next table
    begins.
    """
    text = lines[at].text
    if _EB_TABLE.match(text) or _EB_CHAIN.match(text):
        return _read_ebtables(lines, at, context)
    if not _CHAIN_START.match(text):
        return None
    listing = _Listing(lines, at, context)
    listing.run()
    return listing.answer()


def count_of(word: str) -> int:
    """``1390K`` is 1390000: rounded by the tool, as exact as the text is."""
    factor = _SUFFIX.get(word[-1:], 1)
    return int(word if factor == 1 else word[:-1]) * factor


def _is_count(word: str) -> bool:
    return (
        word.isascii()
        and word[:1].isdecimal()
        and len(word) <= 20
        and (word.isdecimal() or (word[-1] in _SUFFIX and word[:-1].isdecimal()))
    )


def _is_protocol(word: str) -> bool:
    word = word.removeprefix("!")
    return word in _PROTOCOLS or (word.isdecimal() and word.isascii() and len(word) <= 3)


class _Row:
    """A rule under way: its words, and what they mean once it is whole."""

    def __init__(self, line: Line, chain: str, words: list[str]) -> None:
        self.line = line
        self.chain = chain
        self.words = words


class _Shape:
    """A rule's words by meaning; ``target`` is None for an empty column."""

    __slots__ = ("packets", "target", "total", "words")

    def __init__(self, words: list[str], target: str | None, packets: int | None, total: int | None) -> None:
        self.words = words
        self.target = target
        self.packets = packets
        self.total = total


def _shape(words: list[str], counted: bool) -> _Shape | None:
    """The rule in ``words``, or None. ``counted`` where the header has ``pkts bytes``."""
    # A line number stands first under --line-numbers; a protocol printed as a number looks like one, so both are tried.
    for start in (1, 0) if words[0].isdecimal() else (0,):
        packets = total = None
        rest = words[start:]
        if counted:
            if len(rest) < 3 or not (_is_count(rest[0]) and _is_count(rest[1])):
                continue
            packets, total, rest = count_of(rest[0]), count_of(rest[1]), rest[2:]
        for position in (1, 0):
            if _is_rule_at(rest, position, counted):
                return _Shape(rest, rest[0] if position else None, packets, total)
    return None


def _is_rule_at(words: list[str], protocol: int, counted: bool) -> bool:
    if len(words) < protocol + 2 or not _is_protocol(words[protocol]):
        return False
    after = words[protocol + 1]
    if after in _OPTIONS or _is_address(after):
        return True
    # ip6tables before 1.8.9 leaves the option column empty: interfaces follow at once under -v, then addresses.
    return counted and len(words) > protocol + 3 and _is_address(words[protocol + 3])


def _is_address(word: str) -> bool:
    word = word.removeprefix("!")
    return word == "anywhere" or word[:1].isdecimal() or ":" in word


class _Listing:
    """The reading of one ``iptables -L`` from its first ``Chain`` line."""

    def __init__(self, lines: Sequence[Line], at: int, context: Context) -> None:
        self.lines = lines
        self.at = at
        self.end = at
        self.context = context
        self.chains: list[tuple[Line, str, str | None, int | None, int | None]] = []
        self.rows: list[_Row] = []
        self.order: list[int | _Row] = []
        self.names: set[str] = set()
        self.counted = False
        self.elsewhere: list[tuple[Line, str]] = []
        self.unread: list[tuple[Line, str]] = []

    def run(self) -> None:
        """Take lines as long as they belong; blank lines only where the listing goes on behind them."""
        index, blank, fresh = self.at, 0, False
        while index < len(self.lines) and blank <= _MAX_BLANK:
            line = self.lines[index]
            text = line.text.strip()
            if not text:
                blank, fresh, index = blank + 1, True, index + 1
                continue
            used = self._take(index, line, text, fresh)
            if not used:
                break
            blank, fresh = 0, False
            index += used
            self.end = index

    def _take(self, index: int, line: Line, text: str, fresh: bool) -> int:
        if _CHAIN_START.match(text):
            return self._take_chain(index, line, text)
        words = text.split()
        if not _HEADER_WORDS.issuperset(words):
            warned = _ELSEWHERE.match(text)
            if warned:
                self.elsewhere.append((line, warned[1]))
                return 1
            return self._take_rule(line, words, fresh)
        self.counted = self.counted or "pkts" in words
        return 1

    def _take_chain(self, index: int, line: Line, text: str) -> int:
        """One ``Chain`` line; several where a web form joined them, two lines where mail wrapped one."""
        used = 1
        if ")" not in text and index + 1 < len(self.lines):
            joined = f"{text} {self.lines[index + 1].text.strip()}"
            if _CHAIN.match(joined):
                text, used = joined, 2
        found = list(_CHAIN.finditer(text))
        if not found:
            if index == len(self.lines) - 1 or self.chains:
                self.unread.append((line, "a chain line that was cut"))
                return used
            return 0 if index != self.at else used
        if any(match[1] in self.names for match in found[:1]):
            return 0  # the same chain again: another table begins
        for position, match in enumerate(found):
            self.names.add(match[1])
            packets, total = match[3], match[4]
            self.chains.append(
                (line, match[1], match[2], count_of(packets) if packets else None, count_of(total) if total else None)
            )
            self.order.append(len(self.chains) - 1)
            self.counted = self.counted or packets is not None
            until = found[position + 1].start() if position + 1 < len(found) else len(text)
            self._take_rest(line, text[match.end() : until].split())
        return used

    def _take_rest(self, line: Line, words: list[str]) -> None:
        """What stands behind the parenthesis where line ends were lost: the header, then perhaps a rule."""
        start = 0
        while start < len(words) and words[start] in _HEADER_WORDS:
            self.counted = self.counted or words[start] == "pkts"
            start += 1
        rest = words[start:]
        if rest and self._take_rule(line, rest, fresh=True) == 0:
            self.unread.append((line, "rules without their line ends"))

    def _take_rule(self, line: Line, words: list[str], fresh: bool) -> int:
        if not self.chains or not words:
            return 0
        shape = self._shape_of(words)
        if shape:
            row = _Row(line, self.chains[-1][1], words)
            self.rows.append(row)
            self.order.append(row)
            return 1
        if not fresh and self._continues(words):
            return 1
        return 0

    def _continues(self, words: list[str]) -> bool:
        """Whether ``words`` are the tail of a rule that mail wrapped, and if so take them."""
        if not self.rows or not isinstance(self.order[-1], _Row):
            return False
        row = self.rows[-1]
        if len(row.words) > _MAX_WORDS:
            return False
        if row.line is self.lines[self.end - 1] and self._tail(row.words, words):
            row.words = row.words + words
            return True
        return False

    def _tail(self, before: list[str], words: list[str]) -> bool:
        shape = self._shape_of(before)
        columns = (7 if self.counted else 5) - (0 if shape and shape.target else 1)
        if shape and len(shape.words) < columns:
            return _is_address(words[0]) or len(words) <= 3
        first = words[0]
        return first in _TAILS or first.startswith(_TAIL_STARTS) or "*/" in words

    def answer(self) -> Read | None:
        """The facts, in the order of the listing; None where nothing of a listing was found."""
        if not self.chains:
            return None if not self.unread else Read(max(1, self.end - self.at), [], self.unread)
        command = read_command(self.context.command, self.context.path)
        shapes = {id(row): self._shape_of(row.words) for row in self.rows}
        table = choose_table(command, self.names) or self._table_of_targets()
        tool = command.tool or ("ip6tables" if self._looks_ip6() else "iptables")
        family, standing = family_of(tool), command.standing
        facts: list[Fact] = [
            FwListing(
                origin=self.context.origin(self.lines[self.at]),
                tool=tool,
                family=family,
                table=table,
                command=self.context.command,
                with_counters=self.counted,
                standing=standing,
            )
        ]
        for item in self.order:
            if isinstance(item, int):
                line, name, policy, packets, total = self.chains[item]
                facts.append(
                    FwChain(
                        origin=self.context.origin(line),
                        tool=tool,
                        family=family,
                        table=table,
                        chain=name,
                        policy=policy,
                        packets=packets,
                        bytes=total,
                        standing=standing,
                    )
                )
            elif shape := shapes[id(item)]:
                facts.append(
                    FwRule(
                        origin=self.context.origin(item.line),
                        tool=tool,
                        family=family,
                        table=table,
                        chain=item.chain,
                        text=" ".join(shape.words),
                        target=shape.target,
                        packets=shape.packets,
                        bytes=shape.total,
                        standing=standing,
                    )
                )
        facts += [FwElsewhere(origin=self.context.origin(line), tool=name) for line, name in self.elsewhere]
        return Read(max(1, self.end - self.at), facts, self.unread)

    def _shape_of(self, words: list[str]) -> _Shape | None:
        return _shape(words, self.counted) or _shape(words, counted=not self.counted)

    def _table_of_targets(self) -> str | None:
        """The one table all telling targets belong to (a lone user chain with DNAT rules)."""
        told = set()
        for row in self.rows:
            shape = self._shape_of(row.words)
            told.add(table_of_rule(row.chain, shape.target if shape else None))
        told.discard(None)
        return told.pop() if len(told) == 1 else None

    def _looks_ip6(self) -> bool:
        return any("::/0" in word or word in {"ipv6-icmp", "icmpv6"} for row in self.rows for word in row.words[:9])


# First words of what matches and targets print behind the columns (print functions of iptables' extensions).
_TAILS = frozenset(
    "tcp udp icmp icmptype state ctstate mark connmark limit: LOG reject-with match-set multiport ADDRTYPE owner "
    "TCPMSS masq destination source PHYSDEV MAC recent: redir policy NFLOG CT NFQUEUE statistic hashlimit "
    "connlimit ! #conn".split()
)
_TAIL_STARTS = ("dpt", "spt", "to:", "/*", "flags:", "0x")


def _read_ebtables(lines: Sequence[Line], at: int, context: Context) -> Read:
    """``ebtables -L``: every table it shows. ``--Lc`` prints the counters behind a rule."""
    command = read_command(context.command, context.path)
    table: str | None = command.tables[0] or "filter" if command.tool == "ebtables" and command.tables else None
    chain = _NEVER
    facts: list[Fact] = []
    index, end, blank = at, at, 0
    listed = counted = False
    while index < len(lines) and blank <= _MAX_BLANK:
        line = lines[index]
        text = line.text.strip()
        index += 1
        if not text:
            blank += 1
            continue
        named, begun = _EB_TABLE.match(text), _EB_CHAIN.match(text)
        if named:
            if listed:
                break
            table = named[1]
        elif begun:
            chain = begun[1]
        elif chain is _NEVER or not _EB_RULE.match(text):
            break
        listed = True
        counted = counted or "pcnt =" in text
        if begun:
            facts.append(
                FwChain(
                    origin=context.origin(line),
                    tool="ebtables",
                    family="bridge",
                    table=table,
                    chain=chain,
                    policy=begun[2],
                )
            )
        elif not named:
            facts.append(_ebtables_rule(line, text, table, chain, context))
        blank, end = 0, index
    listing = FwListing(
        origin=context.origin(lines[at]),
        tool="ebtables",
        family="bridge",
        table=table,
        command=context.command,
        with_counters=counted,
    )
    return Read(max(1, end - at), [listing, *facts])


def _ebtables_rule(line: Line, text: str, table: str | None, chain: str, context: Context) -> FwRule:
    counts = _EB_COUNTS.search(text)
    rule = text[: counts.start()].rstrip(" ,") if counts else text
    jump = _JUMP.search(rule)
    return FwRule(
        origin=context.origin(line),
        tool="ebtables",
        family="bridge",
        table=table,
        chain=chain,
        text=rule.strip(),
        target=jump[1] if jump else None,
        packets=int(counts[1]) if counts else None,
        bytes=int(counts[2]) if counts else None,
    )
