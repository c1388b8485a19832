"""Own addresses, beside what ``ip -json address`` says."""

import ipaddress
import json

import pytest
from tests.realkernel.table_space import table_space

from tablefull.live.own_addresses import key_of, own


def test_keys_are_those_of_a_dimension() -> None:
    assert key_of(bytes((10, 0, 0, 1))) == (0x0A000001, 0, 0, 0, 4)
    assert key_of(ipaddress.ip_address("2001:db8::1").packed) == (0x20010DB8, 0, 0, 1, 6)


@pytest.mark.realkernel
def test_every_address_of_a_namespace() -> None:
    with table_space() as space:
        space.run("ip", "link", "set", "lo", "up")
        space.run("ip", "link", "add", "veth1", "type", "veth", "peer", "name", "veth2")
        space.run("ip", "addr", "add", "192.0.2.7/24", "dev", "veth1")
        space.run("ip", "addr", "add", "192.0.2.8", "peer", "192.0.2.9", "dev", "veth1")
        space.run("ip", "addr", "add", "2001:db8::7/64", "dev", "veth1", "nodad")
        told = json.loads(space.run("ip", "-json", "address"))
        expected = {key_of(ipaddress.ip_address(each["local"]).packed) for link in told for each in link["addr_info"]}
        assert own(space.path) == expected
        assert key_of(bytes((192, 0, 2, 8))) in expected
        assert key_of(bytes((192, 0, 2, 9))) not in own(space.path)


def test_a_namespace_that_is_gone_has_none() -> None:
    assert own("/nonexistent") == frozenset()
