"""How what was made to last is taken away again: the exact opposite of each command that keeps a change.

The trap: an undo of what was typed looks complete until the next reboot, when the file that nobody removed brings the
change back. So the opposite is read off the very command that wrote it, and no plan can forget it.
"""

import re

HEADER = "# only where it was made to last, or the next boot brings it back:"
# One file for the order of loading, whichever plan wrote it first.
_SHARED = frozenset(("/etc/modules-load.d/tablefull-conntrack.conf",))
_STARTED = (
    (re.compile(r"systemctl enable ([\w@.\- ]+)", re.ASCII), "systemctl disable"),
    (re.compile(r"rc-update add ([\w-]+)", re.ASCII), "rc-update del"),
)
_SAVES = re.compile(
    r"(?:service ip6?tables save|rc-service ip6?tables save|netfilter-persistent save|"
    r"/etc/init\.d/iptables-persistent save|ip6?tables-save > [\w/.\-]+)",
    re.ASCII,
)
_INTO = re.compile(r"(?:printf|echo|ip6?tables-save -t raw)(?: .*)? > (/[\w/.@\-]+)", re.ASCII)
_APPENDED = re.compile(r"(?:.*\|\| )?(?:printf '%s\\n'|echo) (.*) >> (/[\w/.@\-]+)(?: && (.*))?", re.ASCII)
_LISTED = re.compile(r"nft list table inet (\w+) >> (/[\w/.\-]+)", re.ASCII)
_SET_LINE = re.compile(r"sed -i 's/\^(\w+)=.* (/[\w/.\-]+)", re.ASCII)
_OWN_UNIT = re.compile(r"/etc/systemd/system/[\w.\-]+", re.ASCII)


def removal(persist: tuple[str, ...]) -> tuple[str, ...]:
    """The commands that take away what these commands left on the disk; empty where they left nothing."""
    found: list[str] = []
    for command in persist:
        if not command.startswith("#"):
            found += _opposite(command)
        elif "configuration.nix" in command:
            found.append(f"# take out again what was put {command.removeprefix('# ')}")
    once = tuple(dict.fromkeys(found))
    if any(_OWN_UNIT.search(line) for line in once):
        once = (*(line for line in once if line != "systemctl daemon-reload"), "systemctl daemon-reload")
    return (HEADER, *once) if once else ()


def _opposite(command: str) -> tuple[str, ...]:
    if command.startswith("firewall-cmd --permanent"):
        return (command.replace("--add-", "--remove-"),)
    if _SAVES.fullmatch(command) or command in ("nixos-rebuild switch", "systemctl daemon-reload"):
        return (command,)  # saved once more, now without the change
    for pattern, word in _STARTED:
        started = pattern.fullmatch(command)
        if started and started.group(1).startswith("tablefull-"):
            return (f"{word} {started.group(1)}",)
        if started:
            return (f"# {word} {started.group(1)}, unless it was started at boot before",)
    listed = _LISTED.fullmatch(command)
    if listed:
        table, path = listed.groups()
        return (f"[ ! -e {path} ] || sed -i '/^table inet {table} {{$/,/^}}$/d' {path}",)
    appended = _APPENDED.fullmatch(command)
    if appended:
        lines, path, then = appended.groups()
        return (f"# take these lines out of {path} again: {lines}", *((then,) if then else ()))
    into = _INTO.fullmatch(command)
    if into:
        path = into.group(1)
        return (f"rm -f {path}" + ("  # keep it where another setting here needs it" if path in _SHARED else ""),)
    line = _SET_LINE.match(command)
    if line:
        return (f"# put the line {line.group(1)} in {line.group(2)} back to what it was before",)
    if command.startswith("helm upgrade "):
        return ("# the values of before: helm rollback cilium -n kube-system",)
    if command.startswith("uci set "):
        return (f"# note the present value first: uci get {command.split()[2].partition('=')[0]}",)
    service = re.fullmatch(r"chkconfig (\w+) off", command, re.ASCII)
    return (f"chkconfig {service.group(1)} on",) if service else ()
