"""Programs at fault, and the expectation table."""

from rule_text import FULL, fired, found


def test_a_loop_is_the_programs_to_mend() -> None:
    one = fired(FULL + "The exporter reconnects in a tight loop when its database is down.", "app-connection-loop")
    assert one.fixes[0] == "fix-application"
    assert one.confidence >= 0.7


def test_the_same_words_without_a_full_table_are_a_thin_reason() -> None:
    one = found("The exporter reconnects in a tight loop.", "app-connection-loop")
    assert one is None or one.confidence < 0.5


def test_expectations_have_their_own_limit() -> None:
    one = fired("[9.1] nf_conntrack: expectation table full", "expectation-table-full")
    assert one.fixes[0] == "raise-expect-max"
    assert one.basis == "shown"
    assert "another one" in one.why


def test_a_full_entry_table_says_nothing_of_expectations() -> None:
    assert found(FULL, "expectation-table-full") is None


def test_a_helper_that_drops_is_unloaded_and_one_that_is_missing_is_attached() -> None:
    drops = fired("nf_ct_sip: dropping packet: SDP too long IN= OUT=eth1 SRC=192.0.2.9", "helper-related")
    missing = fired(
        "nf_conntrack: default automatic helper assignment has been turned off for security reasons and CT-based "
        "firewall rule not found. Use the iptables CT target to attach helpers instead.",
        "helper-related",
    )
    assert drops.fixes[0] == "unload-modules"
    assert missing.fixes[0] == "attach-helper-explicitly"
