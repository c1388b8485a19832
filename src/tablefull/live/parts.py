"""Which parts of the kernel are there already, so that asking them loads nothing.

The trap: a program that only lists makes the kernel load the module it lists from. ``nft`` loads ``nf_tables``,
``conntrack`` loads ``nf_conntrack_netlink`` (and with it, up to v4.13, tracking of every packet), ``iptables -t nat
-L`` creates the table. A part that is built in never stands in ``/proc/modules``, and has a folder in ``/sys/module``
only where it has a parameter or a version, so absence there is not absence.
"""

from tablefull.facts.origin import Hole
from tablefull.live.proc import Proc, missing

# What is asked through, part by part. ``request_module`` names: net/netfilter/nfnetlink.c ("nfnetlink-subsys-%d"),
# net/netlink/af_netlink.c ("net-pf-%d-proto-%d"); a subsystem depends on nfnetlink, so having it is having both.
CONNTRACK, NFTABLES, IPSET, NFT_COMPAT, IP_TABLES = (
    "nf_conntrack_netlink",
    "nf_tables",
    "ip_set",
    "nft_compat",
    "ip_tables",
)

_OPTIONS = {
    CONNTRACK: "CONFIG_NF_CT_NETLINK",
    NFTABLES: "CONFIG_NF_TABLES",
    IPSET: "CONFIG_IP_SET",
    NFT_COMPAT: "CONFIG_NFT_COMPAT",
    IP_TABLES: "CONFIG_IP_NF_IPTABLES",
    "veth": "CONFIG_VETH",
    "nf_conntrack": "CONFIG_NF_CONNTRACK",
}


class Parts:
    """What is known of the parts of the kernel that owns ``proc``, read once."""

    def __init__(self, proc: Proc) -> None:
        self._proc = proc
        modules = proc.read("proc/modules")
        self._loaded = (
            set() if isinstance(modules, Hole) else {line.split(b" ", 1)[0].decode() for line in modules.splitlines()}
        )
        # Without CONFIG_MODULES there is no /proc/modules (kernel/module/procfs.c), and request_module() is a stub
        # that fails.
        self.modular = not (missing(modules) and proc.exists("proc/version"))
        disabled = proc.number("proc/sys/kernel/modules_disabled")
        self.frozen = not self.modular or disabled == 1
        self._release = proc.text("proc/sys/kernel/osrelease")
        self._builtin: set[str] | None = None
        self._options: dict[str, str] | None = None

    def have(self, part: str) -> bool | None:
        """True: there, asking loads nothing. False: absent, asking would load it. None: cannot be told."""
        if part in self._loaded or self._proc.exists(f"sys/module/{part}"):
            return True
        if part in self._built_in():
            return True
        option = self._configured().get(_OPTIONS.get(part, ""))
        if option == "y":
            return True
        if option == "m" or (option is None and self._configured()) or self._builtin:
            return False
        return None

    def askable(self, part: str) -> bool:
        """True where asking cannot load anything: the part is there, or this kernel loads no module at all any more."""
        return self.frozen or self.have(part) is True

    def _built_in(self) -> set[str]:
        if self._builtin is None:
            self._builtin = set()
            for folder in ("lib/modules", "usr/lib/modules", "run/current-system/kernel-modules/lib/modules"):
                listed = self._proc.text(f"{folder}/{self._release}/modules.builtin")
                if isinstance(listed, str) and listed:
                    names = (line.rsplit("/", 1)[-1].partition(".ko")[0] for line in listed.splitlines())
                    self._builtin = {name.replace("-", "_") for name in names}
                    break
        return self._builtin

    def _configured(self) -> dict[str, str]:
        """The options of this kernel's configuration, empty where it is not shown."""
        if self._options is None:
            self._options = {}
            packed = self._proc.read("proc/config.gz")
            if isinstance(packed, bytes):
                import gzip
                import zlib

                try:
                    text = gzip.decompress(packed).decode("ascii", "replace")
                except (OSError, EOFError, zlib.error):
                    text = ""
            else:
                found = self._proc.text(f"boot/config-{self._release}")
                text = found if isinstance(found, str) else ""
            pairs = (line.partition("=") for line in text.splitlines() if line.startswith("CONFIG_"))
            self._options = {name: value for name, _, value in pairs}
        return self._options
