"""``tablefull collect``: what a diagnosis needs to know of this host, as a file that can be sent to somebody."""

import errno
import sys
import time
from pathlib import Path

import click

from tablefull.errors import UsageError
from tablefull.views.output import emit, refused, say, silence


@click.command(
    epilog="""\b
Examples:
  sudo tablefull collect -o web1.tar.gz
  tablefull collect -o web1.tar.gz --redact     (addresses and names replaced)
  tablefull collect --script > collect.sh       (for a host without Python)
  ssh web1 sh -s < collect.sh > web1.txt; tablefull diagnose web1.txt"""
)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(dir_okay=False, readable=False),
    help="The bundle, a .tar.gz; - is standard output.",
)
@click.option("--redact", is_flag=True, help="Replace addresses and host names, the same one always alike.")
@click.option("--script", is_flag=True, help="Print a POSIX sh script that collects the same on a host without Python.")
@click.option("--force", is_flag=True, help="Write over FILE where it exists.")
def collect(output: str | None, redact: bool, script: bool, force: bool) -> int:
    """Collect what a diagnosis needs to know of this host into a bundle.

    Nothing on the host is changed and no kernel module is loaded. As root more is seen: rules, counters, the table's
    entries, other network namespaces. What could not be seen is listed in the bundle's MANIFEST.json.
    """
    if script:
        if redact or output not in (None, "-"):
            raise UsageError("--script prints a script and goes with neither --redact nor -o FILE; use the shell's >")
        from tablefull.live.script import text

        emit(text())
        return 0
    if output is None:
        raise UsageError("collect needs -o FILE (such as -o bundle.tar.gz), or --script")
    if output == "":
        raise UsageError("-o '': an empty name; name a file, or - for standard output")
    if output == "-" and sys.stdout.isatty():
        raise UsageError("a bundle is no text for a terminal; name a file with -o")
    _bundle(output, redact=redact, force=force)
    return 0


def _bundle(output: str, *, redact: bool, force: bool) -> None:
    from tablefull.live import bundle
    from tablefull.live.collect import collect as look

    path = Path(output)
    if output != "-" and not force and (path.exists() or path.is_symlink()):
        raise UsageError(f"{output}: exists already; name another file, or say --force")
    collection = look()
    now = int(time.time())
    taken = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))
    if output == "-":
        import tempfile

        with tempfile.TemporaryDirectory(prefix="tablefull-") as folder:
            held = Path(folder) / "bundle.tar.gz"
            bundle.write(collection, held, redact, taken=taken, taken_s=now)
            _out(held.read_bytes())
    else:
        bundle.write(collection, path, redact, taken=taken, taken_s=now, force=force)
    for hole in collection.holes:
        say(f"tablefull: not seen: {hole.what}: {hole.why}" + (f"; {hole.remedy}" if hole.remedy else ""))
    if output != "-":
        say(f"tablefull: wrote {output} ({path.stat().st_size} bytes); `tablefull diagnose {output}` reads it")


def _out(packed: bytes) -> None:
    """The bundle on standard output."""
    held = getattr(sys.stdout, "buffer", None)
    try:
        if held is None:
            raise OSError(errno.EBADF, "it is closed")
        held.write(packed)
        held.flush()
    except BrokenPipeError:
        silence()
    except OSError as error:
        raise refused(error) from None
