"""The link types of captures by number and name, and which of them an IP packet is found in.

The trap: the number in a file is a LINKTYPE_*, the number in a program a DLT_*, and for raw IP they differ: files hold
101, but 12 and 14, the DLT_RAW of different systems, were written into files all the same.
[www.tcpdump.org/linktypes.html; libpcap 1.10: pcap/dlt.h]
"""

NULL, ETHERNET, PPP = 0, 1, 9
RAW_BSD, RAW_OPENBSD = 12, 14
PPP_ETHER = 51
RAW = 101
LOOP = 108
LINUX_SLL = 113
IPV4, IPV6 = 228, 229
LINUX_SLL2 = 276

READ = frozenset(
    (NULL, ETHERNET, PPP, RAW_BSD, RAW_OPENBSD, PPP_ETHER, RAW, LOOP, LINUX_SLL, IPV4, IPV6, LINUX_SLL2),
)

# Only what a person may meet; another number is told as a number.
_NAMES = {
    NULL: "BSD loopback",
    ETHERNET: "Ethernet",
    6: "Token Ring",
    7: "ARCNET",
    8: "SLIP",
    PPP: "PPP",
    10: "FDDI",
    RAW_BSD: "raw IP",
    RAW_OPENBSD: "raw IP",
    50: "PPP in HDLC framing",
    PPP_ETHER: "PPPoE",
    100: "ATM, RFC 1483",
    RAW: "raw IP",
    104: "Cisco HDLC",
    105: "IEEE 802.11",
    107: "Frame Relay",
    LOOP: "OpenBSD loopback",
    LINUX_SLL: "Linux cooked",
    117: "OpenBSD pflog",
    119: "IEEE 802.11 with a Prism header",
    122: "IP over Fibre Channel",
    127: "IEEE 802.11 with radiotap",
    129: "ARCNET, Linux",
    138: "Apple IP over IEEE 1394",
    141: "SCCP",
    143: "DOCSIS",
    144: "Linux IrDA",
    147: "private 0",
    163: "IEEE 802.11 with an AVS header",
    166: "PPP with a direction, pppd",
    177: "Linux LAPD",
    187: "Bluetooth HCI",
    189: "Linux USB",
    192: "per-packet information",
    195: "IEEE 802.15.4",
    197: "Endace ERF",
    201: "Bluetooth HCI with a direction",
    203: "LAPD",
    204: "PPP with a direction",
    205: "Cisco HDLC with a direction",
    206: "Frame Relay with a direction",
    220: "Linux USB",
    224: "Fibre Channel",
    226: "Solaris IP network",
    227: "SocketCAN",
    IPV4: "raw IPv4",
    IPV6: "raw IPv6",
    230: "IEEE 802.15.4 without checksum",
    231: "D-Bus",
    239: "Linux NFLOG",
    240: "netANALYZER",
    242: "IP over InfiniBand",
    243: "MPEG-2 transport stream",
    247: "InfiniBand",
    248: "SCTP",
    249: "USBPcap",
    251: "Bluetooth LE",
    253: "Linux netlink",
    254: "Bluetooth Linux monitor",
    258: "Apple packet tap",
    266: "USB 2.0",
    271: "virtual socket",
    272: "Nordic Bluetooth LE",
    LINUX_SLL2: "Linux cooked v2",
}


def name_of(link: int) -> str:
    """``Ethernet (1)``; ``link type 9999`` where the number has no name here."""
    name = _NAMES.get(link)
    return f"{name} ({link})" if name else f"link type {link}"
