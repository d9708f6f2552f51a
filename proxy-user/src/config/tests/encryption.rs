//! Certificates, and where they are ordered, in valid files.

use super::{config_with, files, pair};
use crate::config::{AcmeChallenge, load};

#[test]
fn certificates_are_beside_the_store_unless_it_is_said_otherwise() {
    let dir = |text: &str| config_with(text, &[]).tls.cert_dir.to_string_lossy().into_owned();
    assert_eq!(dir(""), "/var/lib/weir/certs");
    assert_eq!(dir("data_dir = \"/srv/weir\"\n"), "/srv/weir/certs");
    assert_eq!(dir("[tls]\ncert_dir = \"/var/lib/weir/certs\"\n"), "/var/lib/weir/certs");
    let tls = config_with("[tls]\nself_signed = false\n", &[]).tls;
    assert!(!tls.self_signed && tls.acme.is_none());
    assert!(config_with("", &[]).tls.self_signed);
}

#[test]
fn an_e_mail_alone_orders_certificates() {
    let acme = config_with("[tls]\nacme = \"ops@example.com\"\n", &[]).tls.acme.clone().unwrap();
    assert_eq!(acme.directory, "https://acme-v02.api.letsencrypt.org/directory");
    assert_eq!((&acme.email[..], acme.challenge), ("ops@example.com", AcmeChallenge::TlsAlpn01));
    assert_eq!((acme.ca_file, acme.eab), (None, None));
}

#[test]
fn another_authority_is_given_in_full() {
    let (certificate, _) = pair(&["ca"]);
    for (written, key) in [("_-8=\n", vec![0xff, 0xef]), ("_-8", vec![0xff, 0xef])] {
        let acme = config_with(
            "[tls]\nacme = { directory = \"https://127.0.0.1:14000/dir\", email = \"a@b.c\", \
             challenge = \"http-01\", ca_file = \"DIR/ca.pem\", \
             eab = { kid = \"kid-1\", hmac_file = \"DIR/hmac\" } }\n",
            &[("ca.pem", &certificate), ("hmac", written)],
        );
        let acme = acme.tls.acme.clone().unwrap();
        assert_eq!(acme.directory, "https://127.0.0.1:14000/dir");
        assert_eq!(acme.challenge, AcmeChallenge::Http01);
        assert!(acme.ca_file.unwrap().ends_with("ca.pem"));
        let eab = acme.eab.unwrap();
        assert_eq!((&eab.kid[..], &eab.key), ("kid-1", &key));
        assert!(!format!("{eab:?}").contains("key"));
    }
    let none = "[tls]\nacme = { email = \"a@b.c\", eab = { kid = \"\", hmac_file = \"\" } }\n";
    assert_eq!(config_with(none, &[]).tls.acme.clone().unwrap().eab, None);
}

#[test]
fn a_wildcard_that_no_certificate_covers_is_warned_about() {
    let text = "[tls]\nacme = \"ops@example.com\"\ncert_dir = \"DIR\"\n[service.a]\n\
                domain = \"*.example.com\"\ntarget = \"http://10.0.0.7\"\nallow = [\"::/0\"]\n";
    let warned = |names: &[&str]| {
        let (certificate, key) = pair(names);
        let (_dir, path) = files(text, &[("a.crt", &certificate), ("a.key", &key)]);
        let warnings = load(&path).unwrap().warnings;
        warnings
            .into_iter()
            .map(|warning| format!("{}: {}", warning.line, warning.message))
            .collect::<Vec<_>>()
    };
    let message = "5: ACME orders no certificate for *.example.com: it needs a pair in cert_dir that covers it";
    assert_eq!(warned(&["a.example.com", "*.example.org"]), [message]);
    assert_eq!(warned(&["*.example.com"]), [""; 0]);
}
