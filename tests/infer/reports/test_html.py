"""Nothing from outside becomes markup."""

from infer.reports.html import bullets, data_uri, facts_table, name, text, wide


def test_markup_in_a_name_is_shown_and_not_obeyed() -> None:
    assert text("<b title='x'>\"&") == "&lt;b title=&#x27;x&#x27;&gt;&quot;&amp;"
    assert name("<script>") == "<bdi>&lt;script&gt;</bdi>"


def test_unprintable_and_direction_changing_characters_are_made_visible() -> None:
    assert text("a\u202eb\x00\n\udce9") == r"a\u202eb\x00\n\udce9"


def test_tables_lists_and_boxes_escape_what_they_hold() -> None:
    for html in (facts_table([("<i>", "<b>")]), bullets(["<b>"], "notes"), wide("", '"<b>')):
        assert "<b>" not in html
        assert "<i>" not in html
        assert "&lt;b&gt;" in html
    assert bullets([]) == ""


def test_bytes_become_a_uri_of_their_own() -> None:
    assert data_uri("image/png", b"\x00\xff") == "data:image/png;base64,AP8="
