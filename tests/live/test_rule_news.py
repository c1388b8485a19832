"""Real changes by real programs in a namespace; who made them is known here, and what is heard has to agree."""

import os
import time
from collections.abc import Callable, Iterator

import pytest
from tests.realkernel.table_space import TableSpace, table_space

from tablefull.live.proc import Proc
from tablefull.live.rule_news import LEGACY, NFT, RuleNews, RuleWatch


@pytest.fixture
def space(program: Callable[[str], str]) -> Iterator[TableSpace]:
    for name in ("nft", "iptables-legacy", "iptables-nft"):
        program(name)
    with table_space() as made:
        yield made


def hear(watch: RuleWatch, how: str) -> list[RuleNews]:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        found = [news for news in watch.wait(0.2) if news.how == how and news.space == "it"]
        if found:
            return found
    return []


@pytest.mark.realkernel
def test_each_program_is_heard_with_its_name(space: TableSpace) -> None:
    inode = os.stat(space.path).st_ino  # noqa: PTH116
    with RuleWatch(Proc()) as watch:
        watch.listen({"it": (space.path, inode)})
        assert len(watch.ways) == 2
        assert watch.holes == []
        for words, how, name in (
            (("nft", "add", "table", "ip", "t"), NFT, "nft"),
            (("iptables-nft", "-A", "INPUT", "-j", "ACCEPT"), NFT, "iptables-nft"),
            (("iptables-legacy", "-A", "INPUT", "-j", "ACCEPT"), LEGACY, "iptables-legacy"),
        ):
            space.run(*words)
            found = hear(watch, how)
            assert found, words
            assert found[0].who is not None
            assert found[0].who.name == name
            assert found[0].who.pid > 1


@pytest.mark.realkernel
def test_listing_is_no_news(space: TableSpace) -> None:
    inode = os.stat(space.path).st_ino  # noqa: PTH116
    with RuleWatch(Proc()) as watch:
        watch.listen({"it": (space.path, inode)})
        space.run("nft", "list", "ruleset")
        space.run("iptables-legacy", "-L")
        space.run("nft", "add", "table", "ip", "t")
        assert [news.who.name for news in hear(watch, NFT) if news.who] == ["nft"]
        watch.listen({})
        space.run("nft", "add", "table", "ip", "u")
        assert not [news for news in watch.wait(0.1) if news.space == "it"]


@pytest.mark.realkernel
def test_more_than_there_is_room_for_is_still_heard(space: TableSpace) -> None:
    with RuleWatch(Proc()) as watch:
        watch.listen({"it": (space.path, None)})
        for link in watch._links.values():
            link.room(4096)
        text = "".join(f"add rule ip t c ip saddr 10.0.{n >> 8}.{n & 255} ct state new\n" for n in range(5000))
        space.run("nft", "-f", "-", text=f"add table ip t\nadd chain ip t c\n{text}")
        assert hear(watch, NFT)


@pytest.mark.realkernel
def test_a_namespace_that_is_gone_is_told(space: TableSpace) -> None:
    with RuleWatch(Proc()) as watch:
        watch.listen({"it": ("/run/netns/nobody-has-this", None)})
        assert any("nftables in it" in hole.what for hole in watch.holes)
