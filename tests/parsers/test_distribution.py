"""Distributions in every form; expected values are read off the text."""

from hypothesis import given
from machine_text import CAPTURE, COMMANDS, LINES, facts_of, holds_for, is_linear, line_of, lines_of

from tablefull.parsers.block import Context
from tablefull.parsers.distribution import mentions, read


def one(text, command=None, path=None):
    (fact,) = facts_of(read, text, command, path)
    return fact.id, fact.version, fact.codename


def test_lsb_release():
    text = "No LSB modules are available.\nDistributor ID: Ubuntu\nDescription:    Ubuntu 12.04 LTS\nRelease:    12.04\nCodename:   precise"
    assert one(text) == ("ubuntu", "12.04", "precise")
    assert one((CAPTURE / "commands/lsb_release-a").read_text()) == ("debian", "12", "bookworm")


def test_os_release():
    assert one((CAPTURE / "etc/os-release").read_text()) == ("debian", "12", "bookworm")
    assert one('PRETTY_NAME="Ubuntu 22.04.3 LTS"\nVERSION_ID="22.04"\nID=ubuntu\nID_LIKE=debian') == (
        "ubuntu",
        "22.04",
        None,
    )
    assert one("DISTRIB_ID='OpenWrt'\nDISTRIB_RELEASE='18.06.1'\nDISTRIB_REVISION='r7258'") == (
        "openwrt",
        "18.06.1",
        None,
    )


def test_release_files():
    assert one("CentOS release 5.5 (Final)") == ("centos", "5.5", None)
    assert one("CentOS Linux release 7.9.2009 (Core)") == ("centos", "7.9.2009", None)
    assert one("Red Hat Enterprise Linux Server release 6.5 (Santiago)") == ("rhel", "6.5", None)
    assert one("Ubuntu 16.04.3 LTS \\n \\l") == ("ubuntu", "16.04.3", None)
    assert one((CAPTURE / "etc/issue").read_text().strip()) == ("debian", "12", None)
    assert one("9.13", "cat /etc/debian_version") == ("debian", "9.13", None)


def test_reports():
    assert one("  Operating System: Debian GNU/Linux 9 (stretch)") == ("debian", "9", "stretch")
    assert one(" OS Image:                   Ubuntu 18.04.6 LTS") == ("ubuntu", "18.04.6", None)


def test_sentences_and_other_labels_are_not_claimed():
    for text in (
        "Ubuntu 20.04 machine with many cores",
        "CentOS with the pf_ring module loaded.",
        "NAME=foo",
        "Release: 3",
        "Description: it hangs",
        "NAME      READY   STATUS",
    ):
        assert read(lines_of(text), 0, Context("-")) is None, text


def said(text):
    return [(f.id, f.version, f.codename) for f in mentions(line_of(text), Context("-"))]


def test_mentions():
    assert said("Game server, Ubuntu 16.04 i386, Linux kernel 4.4.217:") == [("ubuntu", "16.04", None)]
    assert said("Kubernetes 1.11.7 on GKE, Debian GNU/Linux 9 (stretch)") == [("debian", "9", "stretch")]
    assert said("Kubernetes 1.10.5 on Azure, CoreOS 1688.5.3, kernel 4.14.32-coreos") == [("coreos", "1688.5.3", None)]
    assert said("Debian 9, dmesg:") == [("debian", "9", None)]
    assert said("CentOS with the pf_ring module loaded.") == [("centos", None, None)]
    assert said("Kubernetes 1.8 on Ubuntu Xenial VMs, Docker 17.06") == [("ubuntu", None, "xenial")]
    assert said("scaling connections with CentOS 5.5?") == [("centos", "5.5", None)]
    assert said("a fresh 1 GB Debian/Ubuntu VPS") == []
    assert said("it stopped somewhere between CoreOS 384 and 410") == []
    assert said("CPE OS Name: cpe:/o:centos:centos:7") == []
    assert said("ubuntu@web1:~$ ls #37-Ubuntu SMP") == []


@given(LINES, COMMANDS)
def test_any_text_is_answered(texts, command):
    holds_for(read, texts, command)


def test_time_is_linear():
    is_linear(read)
