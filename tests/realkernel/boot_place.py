"""A place of its own in which the real programs of a boot read made-up files and write to made-up settings.

A mount namespace with this machine below an overlay, and the made-up folders over its own: nothing of it is seen
outside, and it ends with the process.
"""

import shutil
import subprocess
from pathlib import Path

FOLDERS = (
    "etc/sysctl.d", "run/sysctl.d", "usr/local/lib/sysctl.d", "usr/lib/sysctl.d",
    "etc/modprobe.d", "run/modprobe.d", "usr/local/lib/modprobe.d", "usr/lib/modprobe.d",
    "etc/modules-load.d", "run/modules-load.d", "usr/local/lib/modules-load.d", "usr/lib/modules-load.d",
    "proc/sys",
)  # fmt: skip

_ENTER = """
set -eu
tree=$1; shift
mount -t tmpfs place /mnt
mkdir /mnt/up /mnt/work /mnt/all
for folder in FOLDERS; do mkdir -p "/mnt/up/$folder"; done
cp "$tree/etc/sysctl.conf" /mnt/up/etc/
mount -t overlay overlay -o lowerdir=/,upperdir=/mnt/up,workdir=/mnt/work /mnt/all
for folder in FOLDERS; do mkdir -p "$tree/$folder"; mount --bind "$tree/$folder" "/mnt/all/$folder"; done
mount --bind /dev /mnt/all/dev
exec chroot /mnt/all "$@"
""".replace("FOLDERS", " ".join(FOLDERS))


def run(tree: Path, *words: str) -> str:
    """What the program says there, with what it complains of."""
    conf = tree / "etc/sysctl.conf"
    conf.parent.mkdir(parents=True, exist_ok=True)
    if not conf.exists():
        conf.write_text("")
    unshare = shutil.which("unshare") or "unshare"
    done = subprocess.run(
        [unshare, "-m", "sh", "-c", _ENTER, "sh", str(tree), *words], capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr


def settings(tree: Path, values: dict[str, str]) -> None:
    """Make these settings below the tree's /proc/sys, by slashed key."""
    for key, value in values.items():
        path = tree / "proc/sys" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(value + "\n")


def value(tree: Path, key: str) -> str:
    """What a setting holds now."""
    return (tree / "proc/sys" / key).read_text().strip()
