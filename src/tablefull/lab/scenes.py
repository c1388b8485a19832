"""The scenes there are, by name."""

from tablefull.lab.scene import Scene
from tablefull.lab.scene_xen_dom0 import XenDom0

SCENES: dict[str, type[Scene]] = {scene.name: scene for scene in (XenDom0,)}
