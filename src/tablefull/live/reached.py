"""By what a host is reached: who has a session open with it, and how large a packet its way out takes.

The trap: ``/sys/class/net`` shows the interfaces of the namespace in which /sys was mounted, and /proc/net/tcp prints
an address as words in the machine's own order. So the MTU is asked of a socket, which belongs to the namespace it was
made in, and an address is turned word by word.
"""

import fcntl
import ipaddress
import socket
import struct
import sys

_SIOCGIFMTU = 0x8921  # include/uapi/linux/sockios.h
_ESTABLISHED = "01"  # include/net/tcp_states.h
SSH = 22


def sessions(table: str, port: int = SSH) -> list[str]:
    """Addresses with an open connection to this port here, of a listing as ``/proc/net/tcp`` or ``tcp6`` prints it."""
    found = []
    for line in table.splitlines()[1:]:
        words = line.split()
        if len(words) > 3 and words[3] == _ESTABLISHED and words[1].endswith(f":{port:04X}"):
            peer = address(words[2].partition(":")[0])
            if peer is not None:
                found.append(peer)
    return found


def address(text: str) -> str | None:
    """An address as /proc/net/tcp prints it; an IPv4 address inside an IPv6 one as the former."""
    try:
        packed = bytes.fromhex(text)
    except ValueError:
        return None
    if len(packed) not in (4, 16):
        return None
    step = -1 if sys.byteorder == "little" else 1
    words = b"".join(packed[begin : begin + 4][::step] for begin in range(0, len(packed), 4))
    found = ipaddress.ip_address(words)
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return str(mapped or found)


def interfaces(routes: str, devices: str) -> list[str]:
    """Interfaces of the default route by ``/proc/net/route``; where there is none, those of ``dev`` beside loopback."""
    rows = [line.split() for line in routes.splitlines()[1:]]
    names = [words[0] for words in rows if len(words) > 7 and words[1] == words[7] == "00000000"]
    if names:
        return names
    found = [line.partition(":")[0].strip() for line in devices.splitlines()[2:]]
    return [name for name in found if name != "lo"]


def mtu(name: str) -> int | None:
    """The MTU of an interface in this thread's namespace; None where there is none of that name."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        try:
            answer = fcntl.ioctl(sock, _SIOCGIFMTU, struct.pack("16sI12x", name.encode()[:15], 0))
        except OSError:
            return None
        return int(struct.unpack("16sI12x", answer)[1])
