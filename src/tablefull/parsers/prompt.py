"""Command lines inside a paste: which part of a line is a prompt, which machine it names, which command was typed.

The trap: ``# net.core.x = 1`` is a comment of a configuration file and ``# cat x`` is root's prompt. A mark alone is
not enough: the word after it has to be a command people type here.
"""

from typing import NamedTuple

from tablefull.parsers.pattern import lazy

COMMANDS = frozenset(
    "cat sysctl dmesg grep egrep zgrep head tail less more awk sed sort wc conntrack iptables ip6tables iptables-save "
    "ip6tables-save iptables-legacy iptables-nft ebtables arptables nft ipset lsmod modprobe modinfo insmod "
    "rmmod uname "
    "lsb_release free slabtop ss netstat nstat ethtool cilium kubectl docker podman crictl brctl bridge ip lsns "
    "journalctl "
    "logread echo sudo ps top uptime hostnamectl hostname systemctl service chkconfig ufw firewall-cmd watch "
    "while for cd ls "
    "tee oc crio microk8s lxc virsh xl xm tcpdump dig nslookup curl wget ping telnet nc ab wrk h2load "
    "getenforce zcat find "
    "vi vim nano ssh exit logout vzctl pct qm calicoctl hubble printf".split()
)
_MARKS = "$#%>»❯"
_WHO = lazy(
    r"\s{0,8}\[?(?P<user>[A-Za-z_][\w.-]{0,31})@(?P<host>[A-Za-z0-9][\w.-]{0,62})[\s:]?[^\]$#%>»❯]{0,80}\]?\s?"
    r"(?:\([^()]{0,30}\)\s?)?(?P<mark>[$#%>»❯])\s?(?P<command>\S.*)?$"
)
_PATH = lazy(
    r"\s{0,8}(?:\[[\w.~/: -]{1,60}\]|bash-[\d.]+|sh-[\d.]+|[~/][\w./~-]{0,40}"
    r"|(?P<host>[A-Za-z][\w.-]{0,30}):[~/][\w./~-]{0,40}"
    r"|[A-Za-z][\w.-]{0,30}[~/][\w./~-]{0,40}|(?P<name>[A-Za-z][\w.-]{0,30}))\s?[$#%]\s?(?P<command>\S.*)$"
)
# oh-my-zsh's arrow with a folder and a branch; PowerShell and cmd.
_ARROW = lazy(r"\s{0,8}[$#%❯➜»+λ▶](?:\s{1,4}|(?=sudo\s|cat\s|sysctl\s))(?P<command>\S.*)$")
_FOLDER = lazy(r"(?:~|[\w./~-]{1,40})\s{1,2}(?:git:\([^()]{1,60}\)\s{1,2})?(?:✗\s{1,2})?(?P<command>\S.*)$")
_WINDOWS = lazy(r"\s{0,8}(?:PS\s)?[A-Z]:\\[^<>|]{0,80}>\s?(?P<command>\S.*)$")
_BARE = lazy(
    r"\s{0,8}(?P<command>(?:sudo\s+)?(?:/\w{1,10}/(?:\w{1,10}/)?)?(?P<word>[a-z][\w-]{1,30})(?:\s+(?:[-/"
    r"|<>\w\"'].*))?)$"
)
# Words that begin a sentence as easily as a command are taken as commands only where an option or a path follows.
_PLAIN = lazy(
    r"(?:sudo\s+)?(?:(?:docker|podman|kubectl|ip|systemctl|cilium|crictl|lxc|microk8s)(?:\s[a-z-]{2,12}){1,2}?|\S+)"
    r"(?:\s+(?:-{1,2}[\w-]+|/[\w./*-]+|net\.\S+|\S+=\S+|[|<>].*|ruleset|list|show|status|addr|link))"
)
_WORDS = lazy(r"[a-z]{3,}(?:\s[a-z]{2,}){4,}")
_BEFORE = frozenset(("sudo", "-E", "time", "watch", "nohup"))
_NOT_HOSTS = frozenset("root user admin ubuntu bash sh ash zsh busybox sudo cat http https".split())
MAX_PROMPT = 2000  # characters; a longer line is output


class Prompt(NamedTuple):
    """``command`` is empty for a prompt alone; ``host`` is None where the prompt names none."""

    command: str
    host: str | None


def first_word(command: str) -> str:
    """The program a command line runs, without its folder and without ``sudo``; empty for an empty line."""
    words = command.split(None, 4)
    while words and words[0] in _BEFORE:
        words = words[1:]
    return words[0].rsplit("/", 1)[-1].lower() if words else ""


def _who(text: str) -> Prompt | None:
    match = _WHO.match(text)
    if match is None:
        return None
    command = (match["command"] or "").strip()
    known = not command or first_word(command) in COMMANDS
    # ``>`` and ``%`` close an address or a figure as easily as a prompt
    if not known and (match["mark"] not in "$#❯" or (" " in command and _WORDS.search(command))):
        return None
    return Prompt(command, match["host"])


def _named(host: str | None, name: str | None) -> str | None:
    if host and host.lower() not in _NOT_HOSTS:
        return host
    if name and any(letter.isdigit() for letter in name) and not name.startswith(("bash-", "sh-", "ash-", "zsh-")):
        return name
    return None


def prompt(text: str) -> Prompt | None:
    """The command typed on this line, with or without a prompt in front; None for output and prose."""
    if not text or len(text) > MAX_PROMPT:
        return None
    start = text[:120]
    if "@" in start:
        found = _who(text)
        if found is not None:
            return found
    if "$" in start or "#" in start or "%" in start:
        match = _PATH.match(text)
        if match and first_word(match["command"]) in COMMANDS:
            return Prompt(match["command"].strip(), _named(match["host"], match["name"]))
    stripped = text.lstrip()
    if stripped[:1] in "$#%❯➜»+λ▶":
        match = _ARROW.match(text)
        if match:
            command = match["command"].strip()
            folder = None if first_word(command) in COMMANDS else _FOLDER.match(command)
            command = folder["command"] if folder else command
            if first_word(command) in COMMANDS:
                return Prompt(command, None)
    if ":\\" in start:
        match = _WINDOWS.match(text)
        if match and first_word(match["command"]) in COMMANDS:
            return Prompt(match["command"].strip(), None)
    if first_word(stripped) not in COMMANDS or stripped.endswith((".", "?", "!", ",")):
        return None
    match = _BARE.match(text)
    if match and (match["word"] in COMMANDS) and _PLAIN.match(match["command"]) and not _WORDS.search(match["command"]):
        return Prompt(match["command"].strip(), None)
    return None


def over_ssh(command: str) -> tuple[str, str] | None:
    """The machine and the command of ``ssh [user@]machine [command]``; an empty command for a session; else None."""
    words = command.split()
    if not words or first_word(words[0]) != "ssh":
        return None
    at = 1
    while at < len(words) and words[at].startswith("-"):
        # the options of ssh(1) that take an argument of their own
        at += 2 if len(words[at]) == 2 and words[at][1] in "BbcDEeFIiJLlmOopQRSWw" else 1
    if at >= len(words):
        return None
    host = words[at].rsplit("@", 1)[-1].strip("'\"")
    if not host or not all(letter.isalnum() or letter in ".-_:" for letter in host):
        return None
    return host, " ".join(words[at + 1 :]).strip("'\"")
