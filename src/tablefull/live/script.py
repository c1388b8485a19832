"""``tablefull collect --script``: the collector as one POSIX shell script, for a machine without Python.

The trap: it is pasted into shells of every age, so it is shipped as the file it is, checked there under dash, busybox
and bash, and never put together here.
"""


def text() -> str:
    """The script, ready to be written to a terminal or a file."""
    from importlib.resources import files

    return files("tablefull.live").joinpath("collect.sh").read_text(encoding="utf-8")
