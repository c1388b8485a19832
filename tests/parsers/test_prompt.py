"""Prompts of every style, and what only looks like one."""

import pytest

from tablefull.parsers.prompt import MAX_PROMPT, Prompt, first_word, over_ssh, prompt

READ = "cat /proc/sys/net/netfilter/nf_conntrack_max"


@pytest.mark.parametrize(
    ("before", "host"),
    [
        ("$ ", None),
        ("# ", None),
        ("% ", None),
        ("❯ ", None),
        ("λ ", None),
        ("root@web1:~# ", "web1"),
        ("core@nodo-3 ~ $ ", "nodo-3"),
        ("[root@ns1 log]# ", "ns1"),
        ("[root@ns1 ~]$", "ns1"),
        ("admin@RT-AC68U:/tmp/home/root# ", "RT-AC68U"),
        ("root@OpenWrt:/# ", "OpenWrt"),
        ("user@db-1.example.org> ", "db-1.example.org"),
        ("me@mac ~ % ", "mac"),
        ("root@web1:/etc (main)# ", "web1"),
        ("root@n1 ~ # ", "n1"),
        ("bash-5.0# ", None),
        ("sh-4.2$ ", None),
        ("~# ", None),
        ("~ # ", None),
        ("/ # ", None),
        ("[root:~] # ", None),
        ("web1:~# ", "web1"),
        ("web-2:/var/log # ", "web-2"),
        ("node7# ", "node7"),
        ("root:~# ", None),
        ("➜  ~ ", None),
        ("➜  project git:(main) ✗ ", None),
        ("PS C:\\Users\\me> ", None),
        ("C:\\> ", None),
        ("    $ ", None),
        ("+ ", None),
        ("", None),
    ],
)
def test_every_style(before, host):
    assert prompt(before + READ) == Prompt(READ, host)


@pytest.mark.parametrize("text", ["root@web1:~#", "[root@web1 ~]# "])
def test_a_prompt_alone(text):
    assert prompt(text) == Prompt("", "web1")


@pytest.mark.parametrize(
    "command",
    ["sudo sysctl -w net.core.somaxconn=1024", "/sbin/sysctl -a | grep conntrack", "sudo -E conntrack -L", "nft list ruleset",
     "iptables -L -t nat -v", "ss -s", "sysctl net.netfilter.nf_conntrack_max", "docker ps -a", "ip netns list"],
)  # fmt: skip
def test_commands_without_a_prompt(command):
    assert prompt(command) == Prompt(command, None)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# net.netfilter.nf_conntrack_max = 65536",
        "# raise the limit",
        "# /etc/sysctl.d/nf.conf",
        "We cat the file every minute and look at it.",
        "find out what is going on here please",
        "free memory is low",
        "top talkers are listed below",
        "watch out for the limit, it is low.",
        "while the table was full nobody could log in",
        "I run sysctl -a?",
        "$5 a month",
        "5% packet loss",
        "bob@example.org> I think the limit is too low",
        "joe@example.com wrote:",
        "net.netfilter.nf_conntrack_max = 65536",
        " pkts bytes target     prot opt in     out     source               destination",
        "[12.5] nf_conntrack: table full, dropping packet",
        "cat " + "a" * MAX_PROMPT,
    ],
)
def test_output_and_prose(text):
    assert prompt(text) is None


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("ssh web1", ("web1", "")),
        ("ssh root@web2 dmesg -T", ("web2", "dmesg -T")),
        ("ssh -p 2222 -i key root@10.0.0.5 'cat /proc/sys/net/netfilter/nf_conntrack_max'", ("10.0.0.5", READ)),
        ("ssh -t web3 sudo conntrack -S", ("web3", "sudo conntrack -S")),
        ("ssh", None),
        ("ssh -V", None),
        ("ssh $HOST dmesg", None),
        ("dmesg | ssh web1", None),
        ("", None),
    ],
)
def test_over_ssh(command, answer):
    assert over_ssh(command) == answer


def test_first_word():
    assert [first_word(one) for one in ("sudo /usr/sbin/Conntrack -L", "time dmesg", "", "sudo")] == [
        "conntrack", "dmesg", "", "",
    ]  # fmt: skip
