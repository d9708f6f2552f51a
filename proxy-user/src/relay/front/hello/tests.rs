#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, reason = "tests")]

use proptest::prelude::*;

use super::*;

/// A `ClientHello` in a single record, if it fits into one.
pub(in crate::relay) fn hello(name: &str) -> Vec<u8> {
    let mut extensions = server_name(&[(0, name)]);
    extensions.extend(supported_versions(&[0x0a0a, 0x0304, 0x0303]));
    records(&message(0x0303, Some(&extensions)), 1 << 14)
}

/// One of that many bytes, record headers included.
pub(in crate::relay) fn hello_of(name: &str, bytes: usize) -> Vec<u8> {
    let of = |padding: usize| {
        let mut extensions = server_name(&[(0, name)]);
        extensions.extend(extension(21, &vec![0; padding]));
        records(&message(0x0303, Some(&extensions)), 1 << 14)
    };
    (0..=bytes)
        .rev()
        .map(of)
        .find(|hello| hello.len() <= bytes)
        .filter(|hello| hello.len() == bytes)
        .unwrap()
}

/// Bytes behind their length.
fn vector(width: usize, bytes: &[u8]) -> Vec<u8> {
    [&bytes.len().to_be_bytes()[8 - width..], bytes].concat()
}

fn extension(kind: u16, data: &[u8]) -> Vec<u8> {
    [kind.to_be_bytes().to_vec(), vector(2, data)].concat()
}

fn server_name(names: &[(u8, &str)]) -> Vec<u8> {
    let entry = |(kind, name): &(u8, &str)| [vec![*kind], vector(2, name.as_bytes())].concat();
    extension(0, &vector(2, &names.iter().flat_map(entry).collect::<Vec<_>>()))
}

fn supported_versions(versions: &[u16]) -> Vec<u8> {
    let list: Vec<u8> = versions.iter().flat_map(|version| version.to_be_bytes()).collect();
    extension(43, &vector(1, &list))
}

/// The handshake message.
fn message(version: u16, extensions: Option<&[u8]>) -> Vec<u8> {
    let mut body = version.to_be_bytes().to_vec();
    body.extend([7; 32]);
    body.extend(vector(1, &[9; 32]));
    body.extend(vector(2, &[0x13, 0x01, 0x13, 0x02]));
    body.extend(vector(1, &[0]));
    body.extend(extensions.map(|extensions| vector(2, extensions)).unwrap_or_default());
    [vec![1], vector(3, &body)].concat()
}

fn records(message: &[u8], most: usize) -> Vec<u8> {
    let record = |piece: &[u8]| [vec![22, 3, 1], vector(2, piece)].concat();
    message.chunks(most).flat_map(record).collect()
}

fn read(bytes: &[u8]) -> Result<Option<Hello>, Broken> {
    Reader::default().look(bytes)
}

fn parsed(extensions: &[u8]) -> Result<Hello, Broken> {
    read(&records(&message(0x0303, Some(extensions)), 1 << 14)).map(Option::unwrap)
}

fn named(name: &str) -> Hello {
    Hello { server_name: Some(name.to_owned()), version: Some(TlsVersion::Tls13) }
}

#[test]
fn the_name_is_found_in_lower_case() {
    assert_eq!(read(&hello("Wiki.Example.COM")), Ok(Some(named("wiki.example.com"))));
}

#[test]
fn a_hello_without_a_name_has_none() {
    let bare = read(&records(&message(0x0303, None), 1 << 14)).unwrap().unwrap();
    assert_eq!(bare, Hello { server_name: None, version: Some(TlsVersion::Tls12) });
    assert_eq!(parsed(&[]).unwrap().server_name, None);
    assert_eq!(parsed(&server_name(&[(7, "example.com")])).unwrap().server_name, None);
    let long = "a".repeat(300);
    for name in
        ["", ".", "a..b", "example.com.", "*.example.com", "[::1]", "a b", "ä", "a\0b", &long]
    {
        assert_eq!(parsed(&server_name(&[(0, name)])).unwrap().server_name, None, "{name}");
    }
}

#[test]
fn a_second_name_is_refused() {
    let twice = [server_name(&[(0, "a.example")]), server_name(&[(0, "b.example")])].concat();
    assert_eq!(parsed(&twice), Err(Broken::TwoNames));
    assert_eq!(parsed(&server_name(&[(0, "a.example"), (0, "b.example")])), Err(Broken::TwoNames));
    let other_kind = parsed(&server_name(&[(1, "?"), (0, "a.example")])).unwrap();
    assert_eq!(other_kind.server_name.as_deref(), Some("a.example"));
}

#[test]
fn the_highest_version_that_is_known_counts() {
    let version = |versions: &[u16]| parsed(&supported_versions(versions)).unwrap().version;
    assert_eq!(version(&[0x0301, 0x0304, 0x0302]), Some(TlsVersion::Tls13));
    assert_eq!(version(&[0xfafa, 0x0302, 0x0301]), Some(TlsVersion::Tls11));
    assert_eq!(version(&[0x0a0a, 0x0305, 0x0300]), None);
    let legacy = |version| {
        let hello = read(&records(&message(version, None), 1 << 14));
        hello.map(|hello| hello.unwrap().version)
    };
    assert_eq!(legacy(0x0300), Ok(None));
    assert_eq!(legacy(0x0301), Ok(Some(TlsVersion::Tls10)));
    assert_eq!(legacy(0x0304), Ok(Some(TlsVersion::Tls12)));
    assert_eq!(legacy(0x0200), Err(Broken::Value));
}

#[test]
fn what_is_no_hello_is_told_at_the_first_byte_that_says_so() {
    let cases: [(&[u8], Broken); 9] = [
        (b"G", Broken::NoHandshake),
        (b"\x00", Broken::NoHandshake),
        // SSL 2.
        (b"\x80", Broken::NoHandshake),
        // An alert.
        (b"\x15", Broken::NoHandshake),
        (b"\x16\x02", Broken::NoHandshake),
        (b"\x16\x03\x01\x00\x00", Broken::RecordLength),
        (b"\x16\x03\x01\x40\x01", Broken::RecordLength),
        // A ServerHello.
        (b"\x16\x03\x01\x00\x40\x02", Broken::NoClientHello),
        (b"\x16\x03\x01\x00\x08\x01\x00\x00\x03", Broken::Trailing),
    ];
    for (bytes, broken) in cases {
        assert_eq!(read(bytes), Err(broken), "{bytes:?}");
        assert_eq!(read(&bytes[..bytes.len() - 1]), Ok(None), "{bytes:?}");
    }
}

#[test]
fn lengths_that_contradict_each_other_are_told() {
    let whole = message(0x0303, Some(&server_name(&[(0, "example.com")])));
    // Every byte of a length behind the header and the random.
    for place in [38, 71, 72, 77, 79, 80, 83, 84, 85, 86, 88, 89] {
        let mut message = whole.clone();
        message[place] ^= 0x41;
        let read = read(&records(&message, 1 << 14));
        assert_eq!(read, Err(Broken::Malformed), "byte {place} of {whole:?}");
    }
    assert_eq!(read(b"\x16\x03\x01\x00\x04\x01\x00\x00\x00"), Err(Broken::Malformed));
}

#[test]
fn a_hello_may_have_64_kib_and_no_byte_more() {
    let most = hello_of("example.com", MOST_BYTES);
    assert_eq!(read(&most).unwrap().unwrap().server_name.as_deref(), Some("example.com"));
    let more = hello_of("example.com", MOST_BYTES + 1);
    assert_eq!(read(&more), Err(Broken::TooLong));
    // Its own length says so first.
    assert_eq!(read(b"\x16\x03\x01\x40\x00\x01\x00\xff\xf8"), Err(Broken::TooLong));
}

#[test]
fn records_of_one_byte_are_bounded_too() {
    let small = records(&message(0x0303, Some(&extension(21, &vec![0; 20_000]))), 1);
    assert!(small.len() > MOST_BYTES);
    let mut reader = Reader::default();
    let broken = (0..=MOST_BYTES).find_map(|end| reader.look(&small[..end]).err());
    assert_eq!(broken, Some(Broken::TooLong));
}

#[test]
fn what_follows_the_hello_is_nobodys_business() {
    let mut bytes = hello("example.com");
    bytes.extend([0x14, 3, 3, 0, 1, 1]);
    assert_eq!(read(&bytes), Ok(Some(named("example.com"))));
}

proptest! {
    #[test]
    fn cuts_make_no_difference(
        name in "[a-z]{1,20}(\\.[a-z]{1,20}){0,3}",
        most in 1_usize..200,
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..40),
    ) {
        let extensions = [server_name(&[(0, &name)]), supported_versions(&[0x0304])].concat();
        let bytes = records(&message(0x0303, Some(&extensions)), most);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len())).collect();
        cuts.sort_unstable();
        let mut reader = Reader::default();
        for cut in cuts {
            prop_assert_eq!(reader.look(&bytes[..cut]), Ok(None));
        }
        prop_assert_eq!(reader.look(&bytes), Ok(Some(named(&name))));
    }

    #[test]
    fn one_wrong_byte_never_panics(place in any::<prop::sample::Index>(), value in any::<u8>(), most in 1_usize..300) {
        let mut bytes = records(&message(0x0303, Some(&server_name(&[(0, "example.com")]))), most);
        let place = place.index(bytes.len());
        bytes[place] = value;
        let _ = read(&bytes);
    }

    #[test]
    fn a_verdict_stands_whatever_the_pieces(bytes in prop::collection::vec(any::<u8>(), 0..200), valid in 0_usize..9) {
        let mut bytes = bytes;
        let start = &hello("example.com")[..valid];
        bytes.splice(0..0, start.iter().copied());
        let mut reader = Reader::default();
        let by_byte = (0..=bytes.len()).map(|end| reader.look(&bytes[..end])).find(|read| *read != Ok(None));
        prop_assert_eq!(by_byte.unwrap_or(Ok(None)), read(&bytes));
    }
}
