"""Addresses and host names replaced so that the diagnosis stays the same: same in, same out, all through one bundle.

The trap: what matters about an address is which others it equals, which network it shares with them, and whether it
is private. So addresses are permuted bit by bit under a key, each bit by the ones before it (the scheme of Xu, Fan,
Ammar and Moon, "On the design and performance of prefix-preserving IP traffic trace anonymization", 2001): two
addresses share exactly as many leading bits after as before, nothing collides, and no address leaves its range.
Loopback, unspecified, link-local (it holds the metadata service), multicast, broadcast and net masks stay. Ports,
counts, states, times and interface names stay.
"""

import re
from collections.abc import Iterable

from tablefull.facts.origin import Hole
from tablefull.live.collection import Artefact, Collection, Namespace, safe

# Files whose numbers with dots are versions, and which hold no address: host names alone are replaced in them.
_NO_ADDRESSES = ("proc/version", "proc/modules", "proc/meminfo", "proc/slabinfo", "proc/sys/kernel/", "etc/")
_ADDRESSES_AGAIN = ("etc/ufw/", "etc/sysctl", "etc/default/")
# A machine may be called by a word that means something else in its own evidence; such a name tells nobody who it is.
_WORDS = frozenset(
    "host hosts node server router gateway firewall bridge docker nginx kernel linux ubuntu debian centos fedora "
    "alpine openwrt proxy default master worker client guest table drop accept input output forward filter mangle "
    "local localhost dom0 domu ipv4 ipv6 tcp6 udp6 eth0 veth nf_conntrack conntrack netns container proc commands "
    "dmesg root test".split()
)
_SHORTEST_NAME = 4

_OCTET = r"\d{1,3}"
_IPV4 = rf"{_OCTET}\.{_OCTET}\.{_OCTET}\.{_OCTET}"
_HEX = "[0-9A-Fa-f]"
_ADDRESS = re.compile(
    rf"(?P<mac>(?<![0-9A-Za-z:-]){_HEX}{{2}}(?P<sep>[:-]){_HEX}{{2}}(?:(?P=sep){_HEX}{{2}}){{4,18}}(?![0-9A-Za-z:]))"
    rf"|(?P<v6>(?<![0-9A-Za-z:.])(?={_HEX}{{0,4}}:{_HEX}{{0,4}}:)[0-9A-Fa-f:]{{2,41}}(?:(?<=:){_IPV4})?"
    r"(?![0-9A-Za-z]|\.\d))"
    rf"|(?P<v4>(?<![0-9A-Za-z_])(?<![0-9A-Za-z]\.){_IPV4}(?![0-9A-Za-z_]|\.\d))"
)
_LENGTH = re.compile(rf"/(?:(?P<bits>\d{{1,3}})(?![\d.])|(?P<mask>{_IPV4}))")
_LOGGED_BY = re.compile(
    r"(?m)^((?:<\d{1,3}>\d? ?)?(?:[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d|\d{4}-\d\d-\d\dT[\d:.,+Z-]{8,30}) )"
    r"([\w.-]{1,253})(?= kernel:)"
)
_FRAME = re.compile(r"(?m)(ll header:).*$")

# (first bits, how many) of the IPv4 ranges that stay apart. RFC 1122, 1918, 6598, 3927, 5771, 6890.
_KEPT_WHOLE = ((0, 8), (127, 8), (169 << 8 | 254, 16), (7, 3))
_PRIVATE = ((10, 8), (172 << 4 | 1, 12), (192 << 8 | 168, 16), (100 << 2 | 1, 10))


class Pseudonyms:
    """The replacements under one key. ``names`` are host names, each replaced wherever it stands as a word."""

    def __init__(self, key: bytes, names: Iterable[str] = ()) -> None:
        self._key = key
        self._trees: dict[tuple[int, int, int], int] = {}
        self._known: dict[str, str] = {}
        telling = sorted({name.lower() for name in names if _telling(name)}, key=lambda name: (-len(name), name))
        self._names = (
            re.compile("(?<![A-Za-z0-9])(?:" + "|".join(map(re.escape, telling)) + ")(?![A-Za-z0-9])", re.IGNORECASE)
            if telling
            else None
        )

    def text(self, text: str, *, addresses: bool = True) -> str:
        """``text`` with every address (unless not ``addresses``) and every host name replaced."""
        if addresses:
            text = _FRAME.sub(r"\1 (removed)", text)
            text = _ADDRESS.sub(lambda match: self._address(match, text), text)
        text = _LOGGED_BY.sub(lambda match: match[1] + self.host(match[2]), text)
        if self._names is not None:
            text = self._names.sub(lambda match: self.host(match[0]), text)
        return text

    def host(self, name: str) -> str:
        """The pseudonym of a host name; a name that tells nothing is kept."""
        if not _telling(name):
            return name
        lowered = name.lower()
        if lowered not in self._known:
            self._known[lowered] = "host-" + self._digest(b"n" + lowered.encode(), 4).hex()
        return self._known[lowered]

    def _digest(self, data: bytes, size: int) -> bytes:
        from hashlib import blake2b

        return blake2b(data, key=self._key, digest_size=size).digest()

    def _address(self, match: "re.Match[str]", text: str) -> str:
        found = match[0]
        bits: int | None = None
        if match["mac"] is None:
            length = _LENGTH.match(text, match.end())
            if length is not None:
                bits = int(length["bits"]) if length["bits"] else _mask_bits(length["mask"])
        known = self._known.get(f"{found}/{bits}")
        if known is None:
            replace = self._mac if match["mac"] else self._v6 if match["v6"] else self._v4
            known = self._known[f"{found}/{bits}"] = replace(found, bits)
        return known

    def _v4(self, found: str, bits: int | None) -> str:
        octets = [int(part) for part in found.split(".")]
        if max(octets) > 255:
            return found
        value = int.from_bytes(octets, "big")
        return ".".join(map(str, _masked(self._permuted_v4(value), value, 32, bits).to_bytes(4, "big")))

    def _permuted_v4(self, value: int) -> int:
        if any(value >> (32 - length) == first for first, length in _KEPT_WHOLE):
            return value
        for first, length in _PRIVATE:
            if value >> (32 - length) == first:
                return self._permuted(value, 32, length)
        return self._permuted(value, 32, _public_from(value))

    def _v6(self, found: str, bits: int | None) -> str:
        from ipaddress import IPv6Address

        tail = ""
        if found.endswith(":") and not found.endswith("::"):
            found, tail = found[:-1], ":"
        try:
            address = IPv6Address(found)
        except ValueError:
            return found + tail
        value = int(address)
        new = _masked(self._permuted_v6(value), value, 128, bits)
        if new == value:
            return found + tail
        if "." in found:
            head = found[: found.rindex(":") + 1]
            return head + ".".join(map(str, (new & 0xFFFFFFFF).to_bytes(4, "big"))) + tail
        shown = IPv6Address(new)
        return (shown.exploded if len(found) == 39 else shown.compressed) + tail

    def _permuted_v6(self, value: int) -> int:
        if value < 1 << 32 or value >> 120 == 0xFF:  # ::, ::1 and what is no unicast of today; multicast
            return value
        if value >> 32 in (0xFFFF, 0x64FF9B << 64):  # an IPv4 address inside: ::ffff:0:0/96 and 64:ff9b::/96 (RFC 6052)
            return value >> 32 << 32 | self._permuted_v4(value & 0xFFFFFFFF)
        fixed = 64 if value >> 118 == 0x3FA else 3 if value >> 125 == 1 else 8
        return self._permuted(value, 128, fixed)

    def _permuted(self, value: int, width: int, fixed: int) -> int:
        """``value`` with each bit past the first ``fixed`` flipped or not, as the bits before it say under the key."""
        new = 0
        for at in range(0, width, 8):
            octet = value >> (width - 8 - at) & 0xFF
            tree = self._tree(width, at, value >> (width - at)) if at + 8 > fixed else 0
            node, out = 1, 0
            for bit in range(8):
                one = octet >> (7 - bit) & 1
                flip = tree >> node & 1 if at + bit >= fixed else 0
                out = out << 1 | (one ^ flip)
                node = node << 1 | one
            new = new << 8 | out
        return new

    def _tree(self, width: int, at: int, prefix: int) -> int:
        """For each of the 255 nodes below ``prefix``, within the next eight bits, whether its next bit is flipped."""
        known = self._trees.get((width, at, prefix))
        if known is None:
            name = f"{width}/{at}/{prefix}".encode()
            known = self._trees[width, at, prefix] = int.from_bytes(self._digest(name, 32), "big")
        return known

    def _mac(self, found: str, _bits: int | None) -> str:
        """Each hardware address of six bytes for itself; a logged frame header is two of them and a type."""
        sep = found[2]
        octets = found.split(sep)
        for at in range(0, len(octets) - 5, 6):
            six = bytes.fromhex("".join(octets[at : at + 6]))
            if any(six) and not six[0] & 1:
                new = bytes([2]) + self._digest(b"m" + six, 5)  # locally administered: no vendor has it
                octets[at : at + 6] = [f"{octet:02x}" for octet in new]
        return sep.join(octets)


def _public_from(value: int) -> int:
    """From which bit on a public IPv4 address may change without coming near a range that means something."""
    apart = (*_KEPT_WHOLE, *_PRIVATE)
    for depth in range(32):
        prefix = value >> (32 - depth)
        if not any(_touch(prefix, depth, first, length) for first, length in apart):
            return depth
    return 32


def _touch(prefix: int, depth: int, first: int, length: int) -> bool:
    shared = min(depth, length)
    return prefix >> (depth - shared) == first >> (length - shared)


def _masked(new: int, old: int, width: int, bits: int | None) -> int:
    """A network's address stays one: no bit past its length, where there was none."""
    if bits is None or bits >= width or old & ((1 << (width - bits)) - 1):
        return new
    return new >> (width - bits) << (width - bits)


def _mask_bits(mask: str) -> int | None:
    octets = [int(part) for part in mask.split(".")]
    if max(octets) > 255:
        return None
    value = int.from_bytes(octets, "big")
    bits = value.bit_count()
    return bits if value == (0xFFFFFFFF << (32 - bits)) & 0xFFFFFFFF else None


def _telling(name: str) -> bool:
    return len(name) >= _SHORTEST_NAME and name.lower() not in _WORDS and not name.isdecimal()


def names_of(collection: Collection) -> list[str]:
    """The host names to replace: the machine's, with and without its domain, the domain, and its containers'."""
    names: list[str] = []
    for name in (collection.host, *(space.hostname for space in collection.namespaces)):
        if not name:
            continue
        short, _, domain = name.partition(".")
        names += [name, short]
        if "." in domain:
            names.append(domain)
    return names


def redacted(collection: Collection, key: bytes) -> Collection:
    """The same collection with pseudonyms for addresses and host names, in contents, paths and holes alike."""
    new = Pseudonyms(key, names_of(collection))
    spaces = [_space(space, new) for space in collection.namespaces]
    folders = {
        f"netns/{old.key}/": f"netns/{space.key}/" for old, space in zip(collection.namespaces, spaces, strict=True)
    }
    return Collection(
        host=new.text(collection.host, addresses=False),
        kernel=collection.kernel,
        root=collection.root,
        artefacts=[_artefact(artefact, new, folders) for artefact in collection.artefacts],
        holes=[Hole(new.text(hole.what), new.text(hole.why), new.text(hole.remedy)) for hole in collection.holes],
        namespaces=spaces,
    )


def _space(space: Namespace, new: Pseudonyms) -> Namespace:
    values = {name: getattr(space, name) for name in space.__struct_fields__}
    values["key"] = safe(new.text(space.key))
    values["name"] = new.text(space.name) if space.name else None
    values["hostname"] = new.text(space.hostname, addresses=False) if space.hostname else None
    return Namespace(**values)


def _artefact(artefact: Artefact, new: Pseudonyms, folders: dict[str, str]) -> Artefact:
    path = artefact.path
    folder, inner = next(((old, path[len(old) :]) for old in folders if path.startswith(old)), ("", path))
    addresses = not inner.startswith(_NO_ADDRESSES) or inner.startswith(_ADDRESSES_AGAIN)
    # Latin-1 gives every byte back as it was.
    content = new.text(artefact.content.decode("latin-1"), addresses=addresses).encode("latin-1")
    return Artefact(folders.get(folder, "") + inner, content)
