//! Which of several certificates a client gets, and what is told of each domain.

use super::support::{LONGER, NOW, PAST, Place, ask, ask_unnamed, pair};
use crate::http::tls::Source;

#[test]
fn the_name_itself_comes_before_a_wildcard_which_is_one_label_deep() {
    let place = Place::new();
    let exact = pair(&["a.example.com"], NOW);
    let wildcard = pair(&["*.example.com"], LONGER);
    place.put("exact", &exact);
    place.put("wildcard", &wildcard);
    let certificates = place.open_strict(&["*.example.com", "*.b.example.com", "example.com"]);
    assert!(ask(&certificates, "a.example.com").unwrap().pem_is(&exact.0));
    assert!(ask(&certificates, "other.example.com").unwrap().pem_is(&wildcard.0));
    assert_eq!(ask(&certificates, "a.b.example.com"), None);
    assert_eq!(ask(&certificates, "example.com"), None);
}

#[test]
fn of_several_the_one_that_is_valid_and_lasts_longest_is_shown() {
    let place = Place::new();
    let [past, now, longer] = [PAST, NOW, LONGER].map(|years| pair(&["a.example.com"], years));
    let certificates = place.open_strict(&["a.example.com"]);
    for (name, pair) in [("1", &past), ("2", &now), ("3", &longer)] {
        place.put(name, pair);
        certificates.poll();
        assert!(ask(&certificates, "a.example.com").unwrap().pem_is(&pair.0), "{name}");
    }
    place.put("4", &past);
    certificates.poll();
    assert!(ask(&certificates, "a.example.com").unwrap().pem_is(&longer.0));
}

#[test]
fn a_valid_wildcard_is_shown_rather_than_an_expired_name() {
    let place = Place::new();
    let wildcard = pair(&["*.example.com"], NOW);
    place.put("exact", &pair(&["a.example.com"], PAST));
    place.put("wildcard", &wildcard);
    let certificates = place.open_strict(&["a.example.com"]);
    assert!(ask(&certificates, "a.example.com").unwrap().pem_is(&wildcard.0));
}

#[test]
fn nobody_is_served_for_a_name_that_is_no_services() {
    let place = Place::new();
    place.put("both", &pair(&["a.example.com", "b.example.com"], NOW));
    let certificates = place.open(&place.tls(), &["a.example.com"]);
    assert!(ask(&certificates, "a.example.com").is_some());
    for other in ["b.example.com", "x.a.example.com", "example.com", "localhost"] {
        assert_eq!(ask(&certificates, other), None, "{other}");
    }
}

#[test]
fn a_domain_without_a_certificate_is_refused_where_nothing_may_sign_itself() {
    let place = Place::new();
    let certificates = place.open_strict(&["a.example.com"]);
    assert_eq!(ask(&certificates, "a.example.com"), None);
    assert_eq!(ask_unnamed(&certificates), None);
    let [state] = certificates.states().try_into().unwrap();
    assert_eq!((state.source, state.not_after), (None, None));
    assert_eq!(state.problem.unwrap(), "there is none: handshakes are refused");
}

#[test]
fn each_domain_says_what_it_has_and_what_is_wrong_with_it() {
    let place = Place::new();
    place.put("good", &pair(&["good.example.com", "www.example.com"], NOW));
    place.put("old", &pair(&["old.example.com"], PAST));
    let domains = ["good.example.com", "old.example.com", "own.example.com"];
    let [good, old, own] = place.open(&place.tls(), &domains).states().try_into().unwrap();
    assert_eq!((good.source, good.problem), (Some(Source::CertDir), None));
    assert_eq!(good.names, ["good.example.com", "www.example.com"]);
    assert_eq!(good.not_after.unwrap().to_string(), "2100-01-01T00:00:00.000Z");
    assert_eq!(old.source, Some(Source::CertDir));
    assert_eq!(old.problem.unwrap(), "expired at 2001-01-01T00:00:00.000Z");
    assert_eq!((own.source, own.problem, own.acme), (Some(Source::SelfSigned), None, None));
}
