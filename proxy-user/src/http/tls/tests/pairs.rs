//! Which pairs can be used, and what is said of those that cannot.

use std::process::Command;

use super::support::{NOW, Place, ask, certificate, pair};

/// What `openssl` prints for these arguments.
fn openssl(arguments: &[&str]) -> String {
    let done = Command::new("openssl").args(arguments).output().unwrap();
    assert!(done.status.success(), "{done:?}");
    String::from_utf8(done.stdout).unwrap()
}

/// A certificate of this kind and its key, as OpenSSL writes them.
fn of_openssl(place: &Place, name: &str, kind: &[&str], form: &[&str]) -> (String, String) {
    let key = place.path(&format!("{name}.openssl"));
    let key = key.to_str().unwrap();
    openssl(&[&["genpkey", "-out", key], kind].concat());
    let san = format!("subjectAltName=DNS:{name}.example.com");
    let request = ["req", "-x509", "-new", "-key", key, "-subj", "/CN=test", "-days", "2"];
    let certificate = openssl(&[&request[..], &["-addext", &san]].concat());
    (certificate, openssl(&[form, &["-in", key]].concat()))
}

#[test]
fn keys_of_all_usual_kinds_and_forms_can_be_used() {
    let place = Place::new();
    let rsa = ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"];
    let ec = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];
    let p384 = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"];
    let kinds: [(&str, &[&str], &[&str]); 6] = [
        ("rsa-pkcs1", &rsa, &["rsa", "-traditional"]),
        ("rsa-pkcs8", &rsa, &["pkey"]),
        ("ec-sec1", &ec, &["ec"]),
        ("ec-pkcs8", &ec, &["pkey"]),
        ("p384", &p384, &["pkey"]),
        ("ed25519", &["-algorithm", "ED25519"], &["pkey"]),
    ];
    for (name, kind, form) in kinds {
        place.put(name, &of_openssl(&place, name, kind, form));
    }
    let domains = kinds.map(|(name, ..)| format!("{name}.example.com"));
    let domains = domains.each_ref().map(String::as_str);
    let certificates = place.open_strict(&domains);
    assert_eq!(certificates.faults(), Vec::<String>::new());
    for domain in domains {
        assert!(ask(&certificates, domain).is_some(), "{domain}");
    }
}

/// What is said of a pair, beside which another is in use.
fn fault_of(certificate: Option<&str>, key: Option<&str>) -> String {
    let place = Place::new();
    place.put("good", &pair(&["good.example.com"], NOW));
    let files = [("bad.crt", certificate), ("bad.key", key)];
    for (name, text) in files.into_iter().filter_map(|(name, text)| Some((name, text?))) {
        std::fs::write(place.path("certs").join(name), text).unwrap();
    }
    let certificates = place.open_strict(&["good.example.com"]);
    assert!(ask(&certificates, "good.example.com").is_some(), "the other suffers");
    let faults = certificates.faults();
    assert_eq!(faults.len(), 1, "{faults:?}");
    faults[0].replace(&format!("{}/", place.path("certs").display()), "")
}

#[test]
fn a_pair_that_cannot_be_used_is_named_with_its_fault_and_no_other_suffers() {
    let (certificate, key) = pair(&["good.example.com"], NOW);
    let (_, other) = pair(&["good.example.com"], NOW);
    let fault = |certificate: &str, key: &str| fault_of(Some(certificate), Some(key));
    assert_eq!(fault(&certificate, &other), "bad.key: is not the key of bad.crt");
    assert_eq!(fault(&key, &key), "bad.crt: holds no certificate");
    assert_eq!(fault(&certificate, &certificate), "bad.key: holds no private key");
    assert_eq!(fault("", &key), "bad.crt: holds no certificate");
    assert!(fault_of(Some(&certificate), None).starts_with("bad.key: No such file"));
    assert!(fault_of(None, Some(&key)).starts_with("bad.crt: No such file"));
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert!(fault(broken, &key).starts_with("bad.crt: holds no certificate: "));
    let cut = &certificate[..certificate.len() / 2];
    assert!(fault(cut, &key).starts_with("bad.crt: is no PEM: "));
    let long = "x".repeat(2 << 20);
    assert!(fault(&long, &key).starts_with("bad.crt: has more than "));
}

#[test]
fn a_pair_of_no_service_is_named() {
    let fault = {
        let (certificate, key) = pair(&["other.example.org"], NOW);
        fault_of(Some(&certificate), Some(&key))
    };
    assert_eq!(fault, "bad.crt: its names are no service's: other.example.org");
}

#[test]
fn names_of_a_certificate_are_compared_in_any_case() {
    let place = Place::new();
    let key = rcgen::KeyPair::generate().unwrap();
    let named = certificate(&["WIKI.Example.com"], NOW, &key);
    place.put("wiki", &(named.clone(), key.serialize_pem()));
    let certificates = place.open_strict(&["wiki.example.com"]);
    assert!(ask(&certificates, "Wiki.example.COM").unwrap().pem_is(&named));
}
