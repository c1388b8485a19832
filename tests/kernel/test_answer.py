"""An answer never looks firmer than it is."""

from tablefull.kernel.answer import by_vendor, by_version, unknown


def test_bases() -> None:
    assert by_version(3, "core 4.9").basis == "version"
    assert by_vendor(3, "RHEL 7.7").basis == "vendor"
    nothing = unknown("not read")
    assert (nothing.value, nothing.basis, nothing.source) == (None, "unknown", "not read")
