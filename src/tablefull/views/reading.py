"""From what a person names to a snapshot, and the lines that a page shows beside the findings.

The trap: a named thing may be a screenful or ten gigabytes. A long log goes through the bulk reading, a long listing is
counted as it passes, and of anything else that is long only the beginning is read, which is said in ``unread``.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, BinaryIO

import msgspec
from msgspec import Struct, field

from tablefull.errors import Unreadable
from tablefull.facts.kernel_log import LogLine
from tablefull.facts.origin import Hole, Origin
from tablefull.facts.snapshot import HostFacts, Snapshot, Unread
from tablefull.live import evidence, script
from tablefull.live.evidence import Document
from tablefull.parsers.reader import Reader

if TYPE_CHECKING:
    from tablefull.parsers.bulk import BulkResult

WHOLE_BYTES = 4 << 20  # read line by line up to here: about a second
HEAD_BYTES = 64 * 1024  # looked at to tell a log from a listing
MANIFEST = "MANIFEST.json"
MANIFEST_BYTES = 1 << 20
SHOWN_LINES = 5000  # of one text, kept for the page; the lines that findings cite are kept beyond it


class Reading(Struct):
    """The snapshot, and the first lines of every text by its name (absent where they were not asked for)."""

    snapshot: Snapshot
    texts: dict[str, list[str]] = field(default_factory=dict)


def read(targets: Sequence[str], stdin: BinaryIO | None, *, keep: bool = False) -> Reading:
    """Read every target into one snapshot; ``keep`` keeps the texts too.

    Raises what ``live.evidence`` raises. With several targets one that exists and yields nothing is a note, as long as
    another one yields something.
    """
    reader = Reader()
    reading = Reading(reader.snapshot)
    bundled = Bundled()
    notes: list[Unread] = []
    blind: list[Unreadable] = []
    for target in targets:
        try:
            for document in evidence.documents(target, stdin, notes):
                placed = bundled.placed(document)
                if placed is not None:
                    _document(reader, placed, reading, keep)
        except Unreadable as error:
            blind.append(error)
    if blind and len(blind) == len(targets):
        raise blind[0]
    notes += [Unread(Origin(error.path, 0, ""), f"{error.why}; {error.remedy}") for error in blind]
    reader.snapshot.unread[:0] = notes
    bundled.finish(reader.snapshot)
    return reading


class _Manifest(Struct):
    """What is taken from the manifest of a bundle; ``bundle.roles`` reads the rest."""

    host: str
    holes: list[Hole] = field(default_factory=list)


class Bundled:
    """What the manifest of a bundle says about its files; nothing where there is no bundle."""

    def __init__(self) -> None:
        self._roles: dict[str, str] = {}
        self._holes: list[Hole] = []
        self._tops: dict[str, str] = {}

    def placed(self, document: Document) -> Document | None:
        """The document with the host and the path its bundle gives it; None where it is not for the parsers.

        A manifest is read here. It is the first file of its bundle, in an archive as in a folder.
        """
        top, _, inner = document.name.rpartition("/")
        if inner == MANIFEST and document.size is not None and document.size < MANIFEST_BYTES:
            with document.open() as stream:
                return None if self._manifest(top, _upto(stream, document.size)) else document
        top = next((top for top in self._tops if document.name.startswith(top + "/")), "")
        if not top:
            return document
        from tablefull.live.collection import for_reader, host_of

        document.host, path = host_of(f"{self._tops[top]}/{document.name.removeprefix(top + '/')}")
        document.path = "/" + path
        return document if for_reader(path) else None

    def _manifest(self, top: str, content: bytes) -> bool:
        from tablefull.live import bundle

        if bundle.SCHEMA.encode() not in content:
            return False
        try:
            told = msgspec.json.decode(content, type=_Manifest)
        except msgspec.DecodeError:
            return False
        self._tops[top] = told.host.replace("/", "-")
        self._roles |= bundle.roles(content)
        self._holes += told.holes
        return True

    def finish(self, snapshot: Snapshot) -> None:
        """Hosts get the roles that the manifest states, the snapshot the holes it lists."""
        for host in snapshot.hosts:
            host.role = self._roles.get(host.name, host.role)
        snapshot.holes += self._holes


def _document(reader: Reader, document: Document, reading: Reading, keep: bool) -> None:
    with document.open() as stream:
        data = _upto(stream, WHOLE_BYTES + 1)
        if len(data) > WHOLE_BYTES and _long(reader, document, stream, data):
            return
    if len(data) > WHOLE_BYTES:
        data = data[: data.rfind(b"\n", 0, WHOLE_BYTES) + 1 or WHOLE_BYTES]
        why = f"longer than {WHOLE_BYTES >> 20} MiB and neither a log nor a listing; only its beginning was read"
        reader.snapshot.unread.append(Unread(Origin(document.name, 0, ""), why))
    lines = _lines(data)
    read, holes = script.without_notes(lines) if script.NOTE.encode() in data else (lines, [])
    reader.snapshot.holes += holes
    reader.snapshot.bytes += len(data)
    reader.document(document.name, read, host=document.host, path=document.path)
    if keep:
        reading.texts[document.name] = lines[:SHOWN_LINES]


def _upto(stream: BinaryIO, limit: int) -> bytes:
    parts: list[bytes] = []
    while limit > 0:
        part = stream.read(min(limit, 1 << 20))
        if not part:
            break
        parts.append(part)
        limit -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _lines(data: bytes) -> list[str]:
    """Lines numbered as ``grep -n`` numbers them: only a line feed ends one."""
    lines = data.decode("utf-8", "replace").split("\n")
    if not lines[-1]:
        lines.pop()
    return [line.removesuffix("\r") for line in lines]


def _long(reader: Reader, document: Document, stream: BinaryIO, data: bytes) -> bool:
    """Read a long log or listing in bulk; False where it is neither."""
    from tablefull.parsers import bulk

    if bulk.is_listing(data[:HEAD_BYTES]):
        _listing(reader, document, stream, data)
        return True
    if not bulk.is_log(data[:HEAD_BYTES]):
        return False
    if document.plain is not None:
        from tablefull.live.bulk import scan_file

        result = scan_file(document.plain)
    else:
        from tablefull.live.bulk import fastest
        from tablefull.live.streams import Joined

        result = bulk.scan(Joined(data, stream), fastest())  # type: ignore[arg-type]
    snapshot = reader.snapshot
    before = {id(fact) for host in snapshot.hosts for fact in host.facts}
    reader.lines(document.name, result.lines, host=document.host, path=document.path)
    snapshot.lines += result.line_count - len(result.lines)
    snapshot.bytes += result.bytes
    _count_in(snapshot.hosts, document.name, result, before)
    return True


def _listing(reader: Reader, document: Document, stream: BinaryIO, data: bytes) -> None:
    from tablefull.facts.entry import Composition
    from tablefull.live.bulk import fold_listing
    from tablefull.live.streams import Joined
    from tablefull.parsers import bulk
    from tablefull.parsers.conntrack_entries import fold

    # The head goes through the ordinary reading: it finds the host, and what stands before the first row.
    head = _lines(data[: data.rfind(b"\n", 0, HEAD_BYTES) + 1])
    reader.document(document.name, head[:20], host=document.host, path=document.path)
    owner = next((host for host in reader.snapshot.hosts if host.composition is not None), None)
    owner = owner or (reader.snapshot.hosts[-1] if reader.snapshot.hosts else None)
    if owner is None:
        owner = HostFacts(name="this host")
        reader.snapshot.hosts.append(owner)
    first = owner.composition.first if owner.composition is not None else Origin(document.name, 1, head[0])
    owner.composition = Composition(first=first)
    if document.plain is not None:
        rows = fold_listing(document.plain, owner.composition, document.name)
    else:
        joined = Joined(data, stream)
        rows = fold(bulk.texts(bulk.blocks(joined)), owner.composition, document.name)  # type: ignore[arg-type]
    reader.snapshot.lines += rows


def _count_in(hosts: Iterable[HostFacts], source: str, result: "BulkResult", before: set[int]) -> None:
    """Let the kept lines of each kind stand for all of that kind, so that no total is lost by thinning.

    What is missing of the suppressed-counts is added as one more line of the mean number that the left-out ones have.
    """
    for kind, total in result.totals.items():
        kept: list[tuple[HostFacts, int, LogLine]] = [
            (host, at, fact)
            for host in hosts
            for at, fact in enumerate(host.facts)
            if isinstance(fact, LogLine)
            and fact.kind == kind
            and fact.origin.source == source
            and id(fact) not in before
        ]
        missing = total - sum(fact.repeated for _, _, fact in kept)
        if not kept or missing <= 0:
            continue
        host, at, fact = kept[len(kept) // 2]
        if kind == "suppressed":
            hidden = result.suppressed_sum - sum(fact.number or 0 for _, _, fact in kept)
            mean = max(0, round(hidden / missing))
            host.facts.insert(at, msgspec.structs.replace(fact, number=mean, repeated=missing))
        else:
            host.facts[at] = msgspec.structs.replace(fact, repeated=fact.repeated + missing)
