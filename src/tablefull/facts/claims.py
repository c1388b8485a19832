"""What a person says in prose: quantities, and words that point somewhere. Lower standing than anything a machine
printed.
"""

from tablefull.facts.origin import Fact


class Claim(Fact, frozen=True, kw_only=True):
    """A stated quantity. ``per_s`` for a rate (10M hits a day = 115.7), ``value`` for an amount.

    ``quantity`` is what is counted, singular: hit query request connection packet client user entry message event core.
    """

    quantity: str
    value: float
    per_s: float | None = None
