"""Command lines inside a paste: which part of a line is a prompt, which machine it names, which command was typed.

The trap: ``# net.core.x = 1`` is a comment of a configuration file and ``# cat x`` is root's prompt. A mark alone is not
enough: the word after it has to be a command people type here.
"""

import re
from typing import NamedTuple

COMMANDS = frozenset(
    "cat sysctl dmesg grep egrep zgrep head tail less more awk sed sort wc conntrack iptables ip6tables iptables-save "
    "ip6tables-save iptables-legacy iptables-nft ebtables arptables nft ipset lsmod modprobe modinfo insmod rmmod uname lsb_release free "
    "slabtop ss netstat nstat ethtool cilium kubectl docker podman crictl brctl bridge ip lsns journalctl logread echo sudo ps "
    "top uptime hostnamectl hostname systemctl service chkconfig ufw firewall-cmd watch while for cd ls tee oc crio "
    "microk8s lxc virsh xl xm tcpdump dig nslookup curl wget ping telnet nc ab wrk h2load getenforce zcat find vi vim nano".split()
)
_WHO = r"(?:(?P<user>[A-Za-z_][\w.-]{0,31})@(?P<host>[A-Za-z0-9][\w.-]{0,62}))"
_PROMPTS = (
    re.compile(r"\s{0,8}\[?" + _WHO + r"[\s:]?[^\]$#%>»❯]{0,80}\]?\s?(?:\([^()]{0,30}\)\s?)?[$#%>»❯]\s?(?P<command>\S.*)?$"),
    re.compile(r"\s{0,8}(?:\[[\w.~/: -]{1,60}\]|bash-[\d.]+|sh-[\d.]+|[~/][\w./~-]{0,40}|[A-Za-z][\w.-]{0,30}:?[~/][\w./~-]{0,40}|[A-Za-z][\w.-]{0,30})"
               r"\s?[$#%]\s?(?P<command>\S.*)$"),
    re.compile(r"\s{0,8}[$#%❯➜»+](?:\s{1,4}|(?=sudo\s|cat\s|sysctl\s))(?:~\s)?(?P<command>\S.*)$"),
)
_BARE = re.compile(r"\s{0,8}(?P<command>(?:sudo\s+)?(?:/\w{1,10}/(?:\w{1,10}/)?)?(?P<word>[a-z][\w-]{1,30})(?:\s+(?:[-/|<>\w].*))?)$")
# Words that begin a sentence as easily as a command are taken as commands only where an option or a path follows.
_PLAIN = re.compile(r"^(?:sudo\s+)?\S+(?:\s+(?:-{1,2}[\w-]+|/[\w./*-]+|net\.\S+|\S+=\S+|[|<>].*|ruleset|list|show|status|addr|link))")
_WORDS = re.compile(r"[a-z]{3,}(?:\s[a-z]{2,}){4,}")


class Prompt(NamedTuple):
    """``command`` is empty for a prompt alone; ``host`` is None where the prompt names none."""

    command: str
    host: str | None


def _first_word(command: str) -> str:
    words = command.split(None, 3)
    while words and words[0] in ("sudo", "-E", "time", "watch"):
        words = words[1:]
    return words[0].rsplit("/", 1)[-1].lower() if words else ""


def prompt(text: str) -> Prompt | None:
    """The command typed on this line, with or without a prompt in front; None for output and prose."""
    if not text or len(text) > 2000:
        return None
    for number, pattern in enumerate(_PROMPTS):
        match = pattern.match(text)
        if match:
            command = (match["command"] or "").strip()
            if number == 0 or _first_word(command) in COMMANDS:
                host = match["host"] if number == 0 else None
                if number == 0 and command and _first_word(command) not in COMMANDS and " " in command and _WORDS.search(command):
                    return None
                return Prompt(command, host)
    match = _BARE.match(text)
    if match and match["word"] in COMMANDS and _PLAIN.match(match["command"]) and not text.rstrip().endswith((".", "?", "!", ",")):
        return Prompt(match["command"].strip(), None) if not _WORDS.search(match["command"]) else None
    return None
