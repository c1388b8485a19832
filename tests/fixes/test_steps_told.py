from live_trees import host

from tablefull.fixes.live_host import Options
from tablefull.fixes.steps_told import configure_kube_proxy


def test_it_is_told_and_not_done(tmp_path) -> None:
    one = host(tmp_path, "debian-12", files={"proc/8/comm": "kube-proxy\n", "proc/9/comm": "dockerd\n"})
    plan = configure_kube_proxy(one, Options())
    assert plan.steps == ()
    assert plan.refused == ""
    text = "\n".join(plan.told)
    assert "here it is 262144" in text
    assert "conntrack" in text
    assert "docker run --sysctl" in text


def test_where_neither_runs(tmp_path) -> None:
    assert configure_kube_proxy(host(tmp_path, "alpine"), Options()).refused


def test_timeouts_of_a_container_are_its_own_from_3_6_on(tmp_path) -> None:
    one = host(tmp_path, "rhel-6", files={"proc/9/comm": "dockerd\n"})
    assert "--sysctl" not in "\n".join(configure_kube_proxy(one, Options()).told)
