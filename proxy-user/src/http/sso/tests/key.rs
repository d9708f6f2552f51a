//! What logins under way are sealed with.

use crate::http::sso::key::Key;

#[test]
fn what_another_made_or_changed_is_not_opened() {
    let key = Key::new(&[1; 32]).unwrap();
    let sealed = key.seal("name", b"login".to_vec()).unwrap();
    let again = Key::new(&[1; 32]).unwrap();
    assert_eq!(again.open("name", &sealed).as_deref(), Some(&b"login"[..]));
    assert_eq!(key.open("other", &sealed), None);
    assert_eq!(key.open("name", &sealed[..4]), None);
    for place in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[place] ^= 1;
        assert_eq!(key.open("name", &changed), None, "byte {place}");
    }
    assert_eq!(Key::new(&[2; 32]).unwrap().open("name", &sealed), None);
}
