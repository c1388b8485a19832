"""What a plan will do to the table, where its maker did not say: from what this host shows at the moment.

The trap: a forecast that nothing supports looks like one that something does. So each number says how it was got, and
what cannot be told is None.
"""

from typing import Any

import msgspec

from tablefull.fixes.act import HostPlan, Predicted, Step


def with_effects(plan: HostPlan, host: Any) -> HostPlan:
    """The same plan, every step with what it will do."""
    return msgspec.structs.replace(plan, steps=tuple(_with(step, host) for step in plan.steps))


def _with(step: Step, host: Any) -> Step:
    if step.predicted is not None or step.persists:
        return step
    return msgspec.structs.replace(step, predicted=Predicted(how="nothing here says what it will do to the table"))
