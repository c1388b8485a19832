"""/proc/net/stat/nf_conntrack of every era: its header, and a row in which each value is its own number."""

EL6 = (
    "entries  searched found new invalid ignore delete delete_list insert insert_failed drop early_drop icmp_error  "
    "expect_new expect_create expect_delete"
)
V26 = EL6 + " search_restart"
V510 = V26.replace("searched", "clashres")
V515 = V510.replace("delete_list", "chainlength")
# 17 columns, each value its own number: a column read by the wrong name shows.
ROW = (
    "0000000f  "
    + " ".join(f"{n:08x}" for n in range(0x11, 0x1D))
    + "  "
    + " ".join(f"{n:08x}" for n in range(0x1D, 0x21))
)
COMMON = {
    "found": 0x12, "invalid": 0x14, "insert": 0x18, "insert_failed": 0x19, "drop": 0x1A, "early_drop": 0x1B, "error": 0x1C,
    "expect_new": 0x1D, "expect_create": 0x1E, "expect_delete": 0x1F, "search_restart": 0x20,
}  # fmt: skip
OLD = {"searched": 0x11, "new": 0x13, "ignore": 0x15, "delete": 0x16, "delete_list": 0x17}
