"""``nft list ruleset``: tables, base chains with their hook, one fact for each rule; and ``nft add rule …`` command
lines.

The trap: a rule may span lines (sets, anonymous chains), quotes may hold braces, and a paste may stop within any of
them. So braces are counted outside quotes, one integer deep, and a block that stops making sense ends where it does.
"""

import re
from collections.abc import Sequence

from tablefull.facts.origin import Fact
from tablefull.facts.ruleset import FwChain, FwListing, FwRule
from tablefull.facts.settings import Standing
from tablefull.parsers.block import Context, Line, Read
from tablefull.parsers.iptables_command import read_command

FAMILIES = ("ip6", "ip", "inet", "arp", "bridge", "netdev")
_FAMILY = "|".join(FAMILIES)
_TABLE = re.compile(rf"\s*(?:add |create )?table ({_FAMILY}) ([^\s{{;]{{1,128}}) ?(?:\{{|$)")
_PIECE = re.compile(r'"[^"]*"?|[{};#]|[^"{};#]+')
_BASE = re.compile(r"\btype (filter|nat|route) hook (\w+)")
_POLICY = re.compile(r"\bpolicy (accept|drop)\b")
_COUNTER = re.compile(r"\bcounter packets (\d{1,20}) bytes (\d{1,20})")
_XT_TARGET = re.compile(r'\bxt target "([^"]{1,64})"')
_WARNING = re.compile(r"\s*# Warning: table ")
_ADD = re.compile(
    rf"\bnft (?:-\w+ )*['\"]?(?:add|insert|replace) rule (?:({_FAMILY}) )?([\w.-]+) ([\w.-]+) ([^;&|'`#]+)"
)
_IN_TABLE = frozenset(
    "chain set map ct counter quota limit secmark synproxy flowtable meter tunnel flags comment".split()
)
_IN_OBJECT = frozenset(
    "type typeof size flags timeout gc-interval elements counter policy auto-merge comment packets protocol l3proto "
    "hook devices device rate over until quota used dport expires mss wscale last helper timestamp sack-perm".split()
)
_IN_RULE = frozenset(
    "type policy comment devices device flags ip ip6 icmp icmpv6 igmp tcp udp udplite sctp dccp th esp ah comp gre "
    "geneve vxlan ether arp vlan meta ct iif iifname oif oifname iifgroup oifgroup iiftype oiftype ibrname obrname "
    "mark skuid skgid pkttype cpu rtclassid cgroup nftrace protocol nfproto l4proto length priority time day hour "
    "secmark secpath random fib socket rt ipsec numgen jhash symhash osf exthdr frag hbh mh dst xt counter accept "
    "drop reject jump goto return continue queue log limit quota masquerade snat dnat redirect notrack flow dup fwd "
    "tproxy synproxy set update add delete last tunnel".split()
)
_VERDICTS = frozenset(
    "accept drop reject queue return continue masquerade snat dnat redirect notrack tproxy synproxy dup fwd".split()
)
_OPERANDS = frozenset(("type", "code", "==", "!=", "state", "prefix"))  # `icmp type redirect` is a match, not a verdict
_MAX_BLANK = 3


def read(lines: Sequence[Line], at: int, context: Context) -> Read | None:
    """Every table that follows, in order; or the rules one command line adds."""
    text = lines[at].text
    if _TABLE.match(text) or _WARNING.match(text):
        reader = _Reader(lines, at, context)
        reader.run()
        return reader.answer()
    if "nft" in text and " rule " in text:
        return _read_command(lines[at], context)
    return None


def target_of(top: str, text: str) -> str | None:
    """The verdict or jump of a rule. ``top`` is the rule without quoted text and braces."""
    target = None
    words = top.split()
    before = ""
    for index, word in enumerate(words):
        if word in _VERDICTS and before not in _OPERANDS:
            target = word
        elif word in {"jump", "goto"}:
            target = words[index + 1] if index + 1 < len(words) else word
        elif word in {"add", "offload"} and before == "flow":
            target = "flow"
        before = word
    if target is None and (extension := _XT_TARGET.search(text)):
        return extension[1]
    return "log" if target is None and "log" in words else target


class _Table:
    def __init__(self, line: Line, family: str, name: str) -> None:
        self.line = line
        self.family = family
        self.name = name
        self.facts: list[Fact] = []
        self.counted = False
        self.dormant = False


class _Chain:
    """A chain under way; ``rules`` are (line, text, text outside quotes and braces)."""

    def __init__(self, line: Line, name: str) -> None:
        self.line = line
        self.name = name
        self.kind: str | None = None
        self.hook: str | None = None
        self.policy: str | None = None
        self.rules: list[tuple[Line, str, str]] = []
        self.indented = False


class _Reader:
    """Lines into tables. ``level`` 0 outside, 1 in a table, 2 in a chain or another object; ``nest`` braces within a
    statement.
    """

    def __init__(self, lines: Sequence[Line], at: int, context: Context) -> None:
        self.lines = lines
        self.at = at
        self.end = at
        self.context = context
        self.standing: Standing = read_command(context.command, context.path).standing
        self.tables: list[_Table] = []
        self.chain: _Chain | None = None
        self.level = 0
        self.nest = 0
        self.parts: list[str] = []
        self.top: list[str] = []
        self.begun: Line | None = None

    def run(self) -> None:
        """Take lines until the text is no ruleset any more; what was open is closed as it stands."""
        index, blank = self.at, 0
        while index < len(self.lines) and blank <= _MAX_BLANK:
            line = self.lines[index]
            index += 1
            if not line.text.strip():
                if self.nest:
                    break
                blank += 1
                continue
            if not self._belongs(line):
                break
            self._take(line)
            blank, self.end = 0, index
        self._close_table()

    def _belongs(self, line: Line) -> bool:
        text = line.text.strip()
        first = text.split(None, 1)[0].rstrip(";") or ";"
        if _WARNING.match(text) or first.startswith("#"):
            return self.level > 0 or text.startswith("# Warning")
        if _TABLE.match(text):
            self._close_table()
            return True
        if self.level == 0:
            return False
        if first[0] in "{};":
            return True
        if self.nest:
            return any(sign in text for sign in ",{}:") or first in _IN_RULE
        if self.level == 1:
            return first in _IN_TABLE
        if "{" in text and first in {"chain", "set", "map", "flowtable"} and text.count(" ") <= 2:
            self._close_block()  # a new object: the closing brace of the last one is lost
            return True
        if self.chain is None:
            return first in _IN_OBJECT or first[0].isdigit() or "}" in text
        return first in _IN_RULE or first[0] in '@"' or self._wrapped(line)

    def _wrapped(self, line: Line) -> bool:
        """Whether this line is the tail of a rule that mail wrapped: at the margin, while rules are indented."""
        chain = self.chain
        if chain is None or not chain.indented or not chain.rules or line.text[:1].isspace():
            return False
        before, text, top = chain.rules[-1]
        if len(text) > 4096 or before.number + 1 != line.number or target_of(top, text):
            return False
        chain.rules.pop()
        self.begun, self.parts, self.top = before, [text, " "], [top, " "]
        return True

    def _take(self, line: Line) -> None:
        if self.chain is not None and line.text[:1].isspace():
            self.chain.indented = True
        for piece in _PIECE.findall(line.text):
            if piece == "#":
                break
            if piece == "{":
                self._open(line)
            elif piece == "}":
                self._close()
            elif piece == ";" and not self.nest:
                self._flush()
            else:
                self._add(piece, line)
        if self.nest:
            self.parts.append(" ")
        elif self.level != 1 or not self._awaits_brace():
            self._flush()

    def _awaits_brace(self) -> bool:
        return len(self.parts) < 8 and "".join(self.parts).strip().startswith(
            ("chain ", "set ", "map ", "flowtable ", "ct ")
        )

    def _add(self, piece: str, line: Line) -> None:
        if self.begun is None and piece.strip():
            self.begun = line
        if self.level == 2 and self.chain is None:
            return
        self.parts.append(piece)
        if not self.nest and piece[0] != '"':
            self.top.append(piece)

    def _open(self, line: Line) -> None:
        head = [] if self.level == 2 else "".join(self.parts).split()
        if self.level == 0:
            named = _TABLE.match(" ".join(head))
            if named:
                self.tables.append(_Table(self.begun or line, named[1], named[2].strip('"')))
                self.level = 1
            self._reset()
        elif self.level == 1:
            self.level = 2
            if head[:1] == ["chain"] and len(head) > 1:
                self.chain = _Chain(self.begun or line, head[1].strip('"'))
            self._reset()
        else:
            self.nest += 1
            self._add("{", line)

    def _close(self) -> None:
        if self.nest:
            self.nest -= 1
            if self.chain is not None:
                self.parts.append("}")
                self.top.append(" ")
        elif self.level == 2:
            self._close_block()
        elif self.level == 1:
            self._close_table()

    def _reset(self) -> None:
        self.parts, self.top, self.begun = [], [], None

    def _flush(self) -> None:
        """One statement of a chain is whole: what the chain is, or a rule."""
        chain, line = self.chain, self.begun
        text, top = " ".join("".join(self.parts).split()), "".join(self.top)
        self._reset()
        if self.level == 1 and self.tables and text.startswith("flags ") and "dormant" in text:
            self.tables[-1].dormant = True
        if chain is None or line is None or not text:
            return
        base, policy = _BASE.match(text), _POLICY.match(text)
        if base:
            chain.kind, chain.hook = base[1], base[2]
        elif policy:
            chain.policy = policy[1]
        elif not text.startswith(("comment ", "devices ", "device ", "flags ")):
            chain.rules.append((line, text, top))

    def _close_block(self) -> None:
        self._flush()
        chain, self.chain, self.nest = self.chain, None, 0
        self.level = min(self.level, 1)
        if chain is None or not self.tables:
            return
        table = self.tables[-1]
        table.facts.append(
            FwChain(
                origin=self.context.origin(chain.line),
                tool="nft",
                family=table.family,
                table=table.name,
                chain=chain.name,
                policy=chain.policy,
                hook=chain.hook,
                kind=chain.kind,
                standing=self.standing,
            )
        )
        for line, text, top in chain.rules:
            counts = _COUNTER.search(text)
            table.counted = table.counted or counts is not None
            table.facts.append(
                FwRule(
                    origin=self.context.origin(line),
                    tool="nft",
                    family=table.family,
                    table=table.name,
                    chain=chain.name,
                    text=text,
                    target=target_of(top, text),
                    packets=int(counts[1]) if counts else None,
                    bytes=int(counts[2]) if counts else None,
                    standing=self.standing,
                )
            )

    def _close_table(self) -> None:
        self._close_block()
        self._reset()
        self.level = 0

    def answer(self) -> Read:
        """A listing for each table, then its chains and rules."""
        facts: list[Fact] = []
        for table in self.tables:
            facts.append(
                FwListing(
                    origin=self.context.origin(table.line),
                    tool="nft",
                    family=table.family,
                    table=table.name,
                    command=self.context.command,
                    with_counters=table.counted,
                    dormant=table.dormant,
                    standing=self.standing,
                )
            )
            facts += table.facts
        return Read(max(1, self.end - self.at), facts)


def _read_command(line: Line, context: Context) -> Read | None:
    """``nft add rule FAMILY TABLE CHAIN …``: commanded, not in force. Without a family nft takes ip (nft(8), "ADDRESS
    FAMILIES").
    """
    facts: list[Fact] = []
    for added in _ADD.finditer(line.text):
        text = " ".join(added[4].split())
        facts.append(
            FwRule(
                origin=context.origin(line),
                tool="nft",
                family=added[1] or "ip",
                table=added[2],
                chain=added[3],
                text=text,
                target=target_of(text, text),
                standing="commanded",
            )
        )
    return Read(1, facts) if facts else None
