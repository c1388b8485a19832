"""What was collected from a machine, before anybody parses it: files and command output by path, and what could not
be seen.

The trap: a namespace has an entry table, settings and counters of its own under the same paths, so its artefacts
stand below ``netns/<key>/`` and are read as another host.
"""

from msgspec import Struct, field

from tablefull.facts.origin import Hole


class Artefact(Struct, frozen=True):
    """One file or one command's output. ``path`` has the shape of ``/proc`` and no leading slash."""

    path: str
    content: bytes


class Namespace(Struct, frozen=True, kw_only=True):
    """A network namespace other than the collector's own.

    ``key`` is its folder below ``netns/``: the name ``ip netns`` knows, else the host name of the container in it,
    else the inode. ``pid`` is a process in it, None where there is none. ``role`` is ``container`` where a cgroup
    says so.
    """

    key: str
    inode: int
    role: str = "namespace"
    name: str | None = None
    pid: int | None = None
    processes: int = 0
    command: str = ""
    cgroup: str = ""
    hostname: str | None = None


class Collection(Struct, kw_only=True):
    """Everything from one machine. ``host`` is its own name, ``root`` whether it was collected with all rights."""

    host: str
    kernel: str = ""
    root: bool = False
    artefacts: list[Artefact] = field(default_factory=list)
    holes: list[Hole] = field(default_factory=list)
    namespaces: list[Namespace] = field(default_factory=list)

    def content(self, path: str) -> bytes | None:
        """The content of one artefact; None where it was not collected."""
        return next((artefact.content for artefact in self.artefacts if artefact.path == path), None)


# Collected for people and for the MANIFEST; no line of them is a fact on its own, and numbers in them would be
# misread as such.
_NOT_FOR_READING = (
    "hostname", "MANIFEST.json", "cgroup", "proc/cmdline", "proc/net/dev", "proc/net/softnet_stat",
    "proc/net/ip_tables_names", "proc/net/ip6_tables_names", "proc/loadavg", "sys/devices/system/cpu/possible",
    "sys/devices/system/cpu/online", "proc/sys/kernel/hostname",
)  # fmt: skip


def for_reader(path: str) -> bool:
    """Whether the file of this inner path (``host_of``) is text that the parsers are to read."""
    return path not in _NOT_FOR_READING


def safe(name: str) -> str:
    """``name`` as one folder's name: letters, digits, ``. _ -`` and nothing that moves up."""
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in name).lstrip(".-")
    return plain[:100] or "unnamed"


def with_key(space: Namespace, key: str, hostname: str | None = None) -> Namespace:
    """The same namespace in another folder, with the host name that was found in it where one is given."""
    values = {name: getattr(space, name) for name in space.__struct_fields__}
    return Namespace(**(values | {"key": key, "hostname": hostname or space.hostname}))


def host_name(host: str, key: str | None) -> str:
    """The name under which a namespace's facts are kept: ``web01.netns.blue``; the host's own where ``key`` is None."""
    return host if key is None else f"{host}.netns.{key}"


def host_of(member: str) -> tuple[str, str]:
    """Host and inner path of a bundle's member: ``web01/netns/blue/proc/x`` is ``proc/x`` of ``web01.netns.blue``."""
    host, _, inner = member.removeprefix("./").partition("/")
    key, rest = _split(inner)
    return host_name(host, key), rest


def _split(inner: str) -> tuple[str | None, str]:
    parts = inner.split("/", 2)
    return (parts[1], parts[2]) if len(parts) == 3 and parts[0] == "netns" else (None, inner)


def place_of(path: str) -> tuple[str | None, str]:
    """Key of the namespace (None: the host) and inner path of an artefact."""
    return _split(path)
