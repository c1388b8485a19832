"""How a number is written: grouped digits, decimal commas, size suffixes.

The trap: ``1.548`` is a whole number in one locale and one and a half in another, and ``"²".isdigit()`` is true.
Whole numbers and sizes are therefore read by two functions, and both answer None where the text is not clearly such a
number.
"""

_SCALE = {"": 0, "b": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_GROUPS = ",.'\u2019\u00a0\u202f"
_LONGEST = 20


def whole(text: str) -> int | None:
    """A whole number without sign: ``4096``, ``1,548,576``, ``1.548.576``, ``1'548'576``; None for anything else."""
    if not 0 < len(text) <= _LONGEST + 7:
        return None
    if text.isascii() and text.isdigit():
        return int(text) if len(text) <= _LONGEST else None
    for mark in _GROUPS:
        if mark not in text:
            continue
        first, *rest = text.split(mark)
        if 1 <= len(first) <= 3 and all(len(group) == 3 for group in rest):
            digits = first + "".join(rest)
            return int(digits) if digits.isascii() and digits.isdigit() else None
        return None
    return None


def decimal(text: str) -> float | None:
    """``7``, ``7.8`` or ``7,8`` as a float; None for anything else."""
    head, mark, tail = text.replace(",", ".").partition(".")
    if not (head.isascii() and head.isdigit() and len(head) <= _LONGEST):
        return None
    if not mark:
        return float(head)
    return float(f"{head}.{tail}") if tail.isascii() and tail.isdigit() and len(tail) <= _LONGEST else None


def size_bytes(text: str, unit: int = 1) -> int | None:
    """Bytes of ``23Gi``, ``7.8G``, ``7,8G``, ``8174456k``, ``0B``; ``unit`` is the size of a number without a suffix.

    Suffixes are powers of 1024 whatever their spelling: memory is sold and printed so.
    """
    if not 0 < len(text) <= _LONGEST + 7:
        return None
    number = text.rstrip("bBiI")
    letter = number[-1:].lower() if number[-1:].isalpha() else ""
    if letter:
        number = number[:-1]
    if letter not in _SCALE:
        return None
    scale = unit if text == number else 1024 ** _SCALE[letter]
    if text == number:
        plain = whole(text)
        if plain is not None:
            return plain * scale
    value = decimal(number)
    return None if value is None else int(value * scale)
