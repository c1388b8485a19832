"""Each meaning is a page: one sentence, and four answers."""

from tablefull.fixes.meanings import MEANINGS


def test_every_meaning_answers_all_its_questions() -> None:
    for name, one in MEANINGS.items():
        assert one.sentence.endswith("."), name
        assert one.sentence.count(". ") == 0, name
        for text in (one.does, one.right, one.wrong, one.costs):
            assert len(text) > 4, name
            assert (
                text[0].isupper()
                or text[0].isdigit()
                or text.startswith(("conntrack", "insert", "udp", "kube", "invalid", "nf_"))
            ), (name, text)
        assert one.source, name
