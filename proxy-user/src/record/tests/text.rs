//! Text that can be shown whatever the network sent.

use proptest::prelude::*;

use crate::record::shown;

#[test]
fn what_can_be_read_stays_as_it_is() {
    for text in ["", "/a?b", "/straße/日本/🦀", "C:\\x41"] {
        assert_eq!(shown(text.as_bytes(), 64), text);
    }
}

#[test]
fn what_changes_how_a_line_is_shown_is_written_as_its_bytes() {
    for (bytes, expected) in [
        (&b"a\x1b[2J\r\n"[..], "a\\x1b[2J\\x0d\\x0a"),
        (b"\x00\x7f", "\\x00\\x7f"),
        ("a\u{202e}b\u{2069}".as_bytes(), "a\\xe2\\x80\\xaeb\\xe2\\x81\\xa9"),
        ("\u{85}\u{61c}".as_bytes(), "\\xc2\\x85\\xd8\\x9c"),
        (b"a\xffb\xe2\x82", "a\\xffb\\xe2\\x82"),
    ] {
        assert_eq!(shown(bytes, 64), expected);
    }
}

#[test]
fn what_is_longer_is_cut_and_marked() {
    assert_eq!(shown(b"abcdef", 6), "abcdef");
    assert_eq!(shown(b"abcdefg", 6), "abc…");
    assert_eq!(shown("ab日本".as_bytes(), 6), "ab…");
    assert_eq!(shown(b"a\x01bc", 6), "a…");
    assert_eq!(shown(&[b'a'; 3000], 2048).len(), 2048);
}

proptest! {
    #[test]
    fn whatever_comes_fits_and_holds_nothing_but_text(bytes: Vec<u8>, most in 3_usize..40) {
        let text = shown(&bytes, most);
        prop_assert!(text.len() <= most);
        prop_assert!(!text.chars().any(char::is_control));
    }
}
