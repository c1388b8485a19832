"""A pane: what is drawn again, what is marked, and that text is never markup."""

import asyncio

from textual.app import App, ComposeResult
from textual.geometry import Region

from tablefull.views.top_chart import Line
from tablefull.views.top_pane import Bar, Item, Pane


class One(App[None]):
    """A pane and a bar."""

    CSS = "Pane { height: 1fr; width: 1fr; } #bar { height: 1; }"

    def __init__(self, *, choosable: bool = False, tail: bool = False) -> None:
        super().__init__()
        self.pane = Pane("pane", choosable=choosable, tail=tail)
        self.bar = Bar("bar")
        self.drawn: list[tuple[Region, ...]] = []

    def compose(self) -> ComposeResult:
        yield self.pane
        yield self.bar


def rows(count: int) -> list[Line]:
    return [((f"row {number}", ""),) for number in range(count)]


def text(pane: Pane, y: int) -> str:
    return pane.render_line(y).text.rstrip()


def test_only_rows_that_differ_are_drawn() -> None:
    async def scene() -> None:
        app = One()
        async with app.run_test(size=(40, 8)) as pilot:
            app.pane.show(rows(4), "title")
            await pilot.pause()
            drawn: list[tuple[Region, ...]] = []
            real = app.pane.refresh
            app.pane.refresh = lambda *regions, **_: (drawn.append(regions), real(*regions))[1]  # type: ignore[assignment,func-returns-value]
            app.pane.show(rows(4), "title")
            assert drawn == []
            app.pane.show([*rows(3), (("other", "bad"),)], "title")
            assert [region.y for (region,) in drawn] == [4]
            assert text(app.pane, 4) == "other"

    asyncio.run(scene())


def test_markup_and_brackets_are_text() -> None:
    async def scene() -> None:
        app = One()
        async with app.run_test(size=(60, 6)) as pilot:
            app.pane.show([(("[bold red]x[/] [@click=app.quit]y[/] :smile:", "no-such-style"),)], "[b]t[/b]")
            await pilot.pause()
            assert text(app.pane, 1) == "[bold red]x[/] [@click=app.quit]y[/] :smile:"
            assert "[b]t[/b]" in text(app.pane, 0)

    asyncio.run(scene())


def test_wide_letters_are_cut_to_the_width() -> None:
    async def scene() -> None:
        app = One()
        async with app.run_test(size=(20, 6)) as pilot:
            app.pane.show([(("漢字" * 30, ""),)], "漢字" * 20)
            await pilot.pause()
            assert app.pane.render_line(1).cell_length == 20
            assert app.pane.render_line(0).cell_length == 20

    asyncio.run(scene())


def test_rows_are_chosen_and_scrolled() -> None:
    async def scene() -> None:
        app = One(choosable=True)
        async with app.run_test(size=(40, 6)) as pilot:  # a title, four rows, the bar
            app.pane.mark(True, "-")
            app.pane.show(rows(10), "t", "", 9)  # the last line is no row
            await pilot.pause()
            app.pane.move(100)
            assert (app.pane.row, app.pane.top) == (8, 5)
            assert "6-9 of 10" in text(app.pane, 0)
            app.pane.scroll(-100)
            assert (app.pane.row, app.pane.top) == (8, 0)
            app.pane.show(rows(2), "t", "", 2)  # what was there went away
            assert app.pane.row == 1
            app.pane.show([], "t", "", 0)
            app.pane.move(1)
            assert app.pane.row == 0

    asyncio.run(scene())


def test_the_end_is_followed_until_one_scrolls_away() -> None:
    async def scene() -> None:
        app = One(tail=True)
        async with app.run_test(size=(40, 6)) as pilot:
            app.pane.show(rows(10))
            await pilot.pause()
            assert text(app.pane, 4) == "row 9"
            app.pane.show(rows(12))
            assert text(app.pane, 4) == "row 11"
            app.pane.move(-3)
            app.pane.show(rows(20))
            assert text(app.pane, 4) == "row 8"
            app.pane.move(100)
            app.pane.show(rows(21))
            assert text(app.pane, 4) == "row 20"

    asyncio.run(scene())


def test_a_bar_knows_what_lies_where() -> None:
    async def scene() -> None:
        app = One()
        async with app.run_test(size=(40, 6)):
            app.bar.items([Item(((" 漢 ", ""), ("x", "")), "one"), Item(((" two ", ""),), "two")])
            # " 漢 " takes four columns, "x" the fifth.
            assert [app.bar.action_at(column) for column in (0, 4, 5, 9, 10)] == ["one", "one", "two", "two", ""]

    asyncio.run(scene())
