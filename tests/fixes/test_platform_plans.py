"""What persists, what overwrites, what the platform limits."""

from situations import host

from tablefull.fixes import platform_plans


def test_the_module_comes_first_then_the_file() -> None:
    plan = platform_plans.persist_config(host("debian-12"), ())
    assert any("/etc/modules-load.d/" in line for line in plan.commands)
    assert any('KERNEL=="nf_conntrack"' in line and 'SUBSYSTEM=="module"' in line for line in plan.commands)
    assert plan.commands[-1] == "sysctl --system"


def test_nixos_is_told_in_its_own_file() -> None:
    plan = platform_plans.persist_config(host("nixos"), ())
    assert any("boot.kernelModules" in line for line in plan.commands)
    assert "nixos-rebuild switch" in plan.commands


def test_openvz_turns_tracking_on_for_the_host_itself() -> None:
    assert any(
        "ip_conntrack_disable_ve0=0" in line for line in platform_plans.persist_config(host("openvz"), ()).persist
    )


def test_a_service_that_unloads_the_modules_is_stopped_from_it() -> None:
    assert any("IPTABLES_MODULES_UNLOAD" in line for line in platform_plans.persist_config(host("el6"), ()).persist)
    assert any("CleanupModulesOnExit" in line for line in platform_plans.persist_config(host("el7"), ()).persist)


def test_kube_proxy_leaves_the_limit() -> None:
    assert any(
        "maxPerCore: 0" in line and "tcpCloseWaitTimeout: 1m0s" in line
        for line in platform_plans.configure_kube_proxy(host("kubernetes"), ()).commands
    )
    assert any("kube-proxy-arg" in line for line in platform_plans.configure_kube_proxy(host("k3s"), ()).commands)
    inside = platform_plans.configure_kube_proxy(host("kind"), ())
    assert "on the host that runs the container" in inside.commands[0]
    assert any("KubeProxyConfiguration" in line for line in inside.commands)


def test_a_component_is_named_only_if_it_is_a_name() -> None:
    assert (
        "apt-get install --only-upgrade pf-ring-dkms"
        in platform_plans.upgrade_component(host("debian-12", component="pf-ring-dkms"), ()).commands
    )
    assert any(
        line.endswith("PACKAGE")
        for line in platform_plans.upgrade_component(host("debian-12", component="x; reboot"), ()).commands
    )


def test_the_security_group_is_opened_both_ways() -> None:
    commands = platform_plans.open_security_group(host("aws"), ()).commands
    assert any("ingress" in line and "FromPort=443" in line and "::/0" in line for line in commands)
    assert any("egress" in line and "IpProtocol=-1" in line for line in commands)


def test_scaling_speaks_the_cloud_s_language() -> None:
    assert any("modify-instance-attribute" in line for line in platform_plans.scale_out(host("aws"), ()).commands)


def test_the_kernel_s_own_defects_are_named() -> None:
    assert "SYN_SENT" in platform_plans.upgrade_kernel(host("debian-10"), ()).why
    assert "SYN_SENT" not in platform_plans.upgrade_kernel(host("new"), ()).why
