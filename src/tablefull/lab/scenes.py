"""The scenes there are, by name."""

from tablefull.lab.scene import Scene
from tablefull.lab.scene_asymmetric_router import AsymmetricRouter
from tablefull.lab.scene_container_limit import ContainerLimit
from tablefull.lab.scene_dns_resolver import DnsResolver
from tablefull.lab.scene_http_server import HttpServer
from tablefull.lab.scene_nat_gateway import NatGateway
from tablefull.lab.scene_syn_flood import SynFlood
from tablefull.lab.scene_xen_dom0 import XenDom0

_ALL: tuple[type[Scene], ...] = (
    XenDom0, NatGateway, HttpServer, DnsResolver, SynFlood, AsymmetricRouter, ContainerLimit,
)  # fmt: skip
SCENES: dict[str, type[Scene]] = {scene.name: scene for scene in _ALL}
