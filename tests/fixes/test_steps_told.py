import pytest
from live_trees import host

from tablefull.fixes.live_host import Options
from tablefull.fixes.steps import plan
from tablefull.fixes.steps_told import configure_kube_proxy, where_to_type


def test_it_is_told_and_not_done(tmp_path) -> None:
    one = host(tmp_path, "debian-12", files={"proc/8/comm": "kube-proxy\n", "proc/9/comm": "dockerd\n"})
    plan = configure_kube_proxy(one, Options())
    assert plan.steps == ()
    assert plan.refused == ""
    text = "\n".join(plan.told)
    assert "here it is 262144" in text
    assert "conntrack" in text
    assert "docker run --sysctl" in text


@pytest.mark.parametrize(
    ("netns", "shell"),
    [("blue", "ip netns exec blue sh"), ("77", "nsenter --net=/proc/77/ns/net -- sh"), ("a b", "exec 'a b' sh")],
)
def test_where_a_namespace_s_commands_are_typed(netns: str, shell: str) -> None:
    (line,) = where_to_type(netns)
    assert shell in line
    assert where_to_type(None) == ()


def test_what_is_typed_says_how_it_lasts_and_goes_back(tmp_path) -> None:
    made = plan("attach-helper-explicitly", host(tmp_path, "debian-12"), Options(ports=()))
    assert "modprobe nf_conntrack_ftp" in made.typed
    assert made.typed.index("# to have it last over a restart:") < made.typed.index("# to take it back:")
    assert not [line for line in made.told if "modprobe" in line]


def test_where_neither_runs(tmp_path) -> None:
    assert configure_kube_proxy(host(tmp_path, "alpine"), Options()).refused


def test_timeouts_of_a_container_are_its_own_from_3_6_on(tmp_path) -> None:
    one = host(tmp_path, "rhel-6", files={"proc/9/comm": "dockerd\n"})
    assert "--sysctl" not in "\n".join(configure_kube_proxy(one, Options()).told)
