"""Every exception of the project, and the exit code each one becomes.

A person sees one line (what, where, what to do) and the code; the traceback appears only with ``--debug``.
"""

EXIT_FINE = 0
EXIT_FINDING = 1
EXIT_USAGE = 2
EXIT_BLIND = 3
EXIT_REFUSED = 4


class TablefullError(Exception):
    """Base of all of them. ``str()`` is the one line a person reads."""

    exit_code = EXIT_USAGE


class UsageError(TablefullError):
    """The call's words are off: a missing file, an unknown id, an impossible number."""

    exit_code = EXIT_USAGE


class ParseError(TablefullError):
    """A text that claims a format and breaks it. Keeps where, so that a report can show the line."""

    exit_code = EXIT_USAGE

    def __init__(self, why: str, source: str, line: int = 0, text: str = "") -> None:
        where = f"{source}:{line}" if line else source
        super().__init__(f"{where}: {why}")
        self.why, self.source, self.line, self.text = why, source, line, text


class Unreadable(TablefullError):
    """Evidence that exists and cannot be read; says what would make it readable."""

    exit_code = EXIT_BLIND

    def __init__(self, path: str, why: str, remedy: str, errno: int | None = None) -> None:
        super().__init__(f"{path}: {why}; {remedy}")
        self.path, self.why, self.remedy, self.errno = path, why, remedy, errno


class KernelRefused(TablefullError):
    """The kernel answered a request with an error."""

    exit_code = EXIT_REFUSED


class StalePlan(TablefullError):
    """A value moved between making a plan and carrying it out."""

    exit_code = EXIT_REFUSED
