"""A step without a forecast says that there is none."""

from tablefull.fixes import predict
from tablefull.fixes.act import HostPlan, Predicted, SetValue, Step

STEP = Step(
    title="t", before="b", after="a", scope="netns", acts=(SetValue("/proc/sys/net/x", "1", "2"),), risk="r", undo="u"
)


def test_unknown_is_said_and_what_is_known_stays() -> None:
    known = Predicted(how="counted", entries_after=7)
    import msgspec

    plan = HostPlan(fix="f", host="h", title="t", steps=(STEP, msgspec.structs.replace(STEP, predicted=known)))
    first, second = predict.with_effects(plan, None).steps
    assert first.predicted is not None
    assert first.predicted.entries_after is None
    assert first.predicted.how
    assert second.predicted == known
