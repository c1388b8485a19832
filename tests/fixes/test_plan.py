"""A plan is complete even where there is nothing to undo or keep."""

from tablefull.fixes.plan import Situation, compose


def test_compose_fills_what_is_empty_and_names_the_cause() -> None:
    plan = compose(
        "none",
        Situation(cause="not-conntrack"),
        (),
        title="t",
        commands=("true",),
        verify=("true",),
        risk="none",
        scope="other",
    )
    assert plan.undo[0].startswith("#")
    assert plan.persist[0].startswith("#")
    assert plan.answers == ("not-conntrack",)
    assert plan.basis == "unknown"
