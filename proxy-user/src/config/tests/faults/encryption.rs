//! Faults of certificates, of their orders, and of files with secrets.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::Path,
};

use super::{Faulty, told};
use crate::config::tests::{files, pair};

pub(super) const FAULTS: &[Faulty] = &[
    (
        "[tls]\nself_sign = true",
        &["2:1: unknown key \"self_sign\" in [tls]; did you mean \"self_signed\"?"],
    ),
    ("[tls]\ncert_dir = \"\"", &["2:12: cert_dir is empty"]),
    (
        "[tls]\ncert_dir = \"DIR/absent\"",
        &["2:1: DIR/absent: cannot be read: No such file or directory (os error 2)"],
    ),
    (
        "[tls]\ncert_dir = \"DIR/secret\"",
        &["2:1: DIR/secret: cannot be read: Not a directory (os error 20)"],
    ),
    // Orders.
    ("[tls]\nacme = true", &["2:8: acme takes an e-mail or a table, not a boolean"]),
    (
        "[tls]\nacme = \"https://ca.org\"",
        &["2:8: \"https://ca.org\" is no e-mail, to which the authority may write"],
    ),
    ("[tls]\nacme = {}", &["2:1: [tls.acme] has no email"]),
    (
        "[tls.acme]\nemail = \"ops\"\ndirectory = \"http://ca.org\"\nchallenge = \"dns-01\"\nmail = 1",
        &[
            "2:9: \"ops\" is no e-mail, to which the authority may write",
            "3:13: directory takes an https:// URL, not \"http://ca.org\"",
            "4:13: challenge is \"tls-alpn-01\" or \"http-01\", not \"dns-01\"",
            "5:1: unknown key \"mail\" in [tls.acme]; did you mean \"email\"?",
        ],
    ),
    (
        "[tls.acme]\nemail = \"a@b.c\"\nca_file = \"DIR/empty\"\neab = { kid = \"1\" }",
        &[
            "3:1: DIR/empty: holds no certificate",
            "4:1: [tls.acme.eab] takes both kid and hmac_file",
        ],
    ),
    (
        "[tls.acme]\nemail = \"a@b.c\"\n[tls.acme.eab]\nkid = \"1\"\nhmac_file = \"DIR/absent\"",
        &["5:13: DIR/absent: cannot be read: No such file or directory (os error 2)"],
    ),
    (
        "[tls.acme]\nemail = \"a@b.c\"\n[tls.acme.eab]\nkid = \"1\"\nhmac_file = \"DIR/empty\"\nhmac = \"\"",
        &[
            "5:13: DIR/empty: holds no base64url key",
            "6:1: unknown key \"hmac\" in [tls.acme.eab]; did you mean \"hmac_file\"?",
        ],
    ),
];

/// Faults of a configuration whose `cert_dir` has these files.
fn of_pairs(pairs: &[(&str, &str)]) -> Vec<String> {
    let (dir, path) = files("[tls]\ncert_dir = \"DIR\"\n", pairs);
    told(&path, dir.path())
}

#[test]
fn a_certificate_without_its_key_is_a_fault() {
    let ((certificate, key), (other, other_key)) = (pair(&["a.org"]), pair(&["b.org"]));
    assert_eq!(of_pairs(&[("a.crt", &certificate), ("a.key", &key)]), [""; 0]);
    assert_eq!(of_pairs(&[("a.key", &key), ("readme.txt", "")]), [""; 0]);
    assert_eq!(of_pairs(&[("a.crt", &certificate)]), ["2:1: DIR/a.crt: there is no key DIR/a.key"]);
    assert_eq!(
        of_pairs(&[("a.crt", &certificate), ("a.key", &other_key), ("b.crt", &other)]),
        [
            "2:1: DIR/a.key: is not the key of the certificate DIR/a.crt",
            "2:1: DIR/b.crt: there is no key DIR/b.key",
        ]
    );
    // The first of a chain is the server's.
    let chain = format!("{certificate}{other}");
    assert_eq!(of_pairs(&[("a.crt", &chain), ("a.key", &key)]), [""; 0]);
}

#[test]
fn what_is_no_certificate_and_no_key_is_a_fault() {
    let (certificate, key) = pair(&["a.org"]);
    assert_eq!(
        of_pairs(&[("a.crt", &key), ("a.key", &key)]),
        ["2:1: DIR/a.crt: holds no certificate"]
    );
    assert_eq!(
        of_pairs(&[("a.crt", &certificate), ("a.key", &certificate)]),
        ["2:1: DIR/a.key: holds no private key that can be read"]
    );
    let torn = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert_eq!(
        of_pairs(&[("a.crt", torn), ("a.key", &key)]),
        ["2:1: DIR/a.crt: is no certificate: BadEncoding"]
    );
}

/// Where the directory is not named, a service needs it.
#[test]
fn certificates_by_default_are_looked_at_where_a_service_needs_them() {
    let (certificate, _) = pair(&["a.org"]);
    let service = "[service.a]\ndomain = \"a.org\"\ntarget = \"http://db\"\n";
    let faults = |text: &str, others: &[(&str, &str)]| {
        let (dir, path) = files(&format!("data_dir = \"DIR\"\n{text}"), others);
        told(&path, dir.path())
    };
    let lonely = [("certs/a.crt", &*certificate)];
    let fault = "1:1: DIR/certs/a.crt: there is no key DIR/certs/a.key";
    assert_eq!(faults(service, &lonely), [fault]);
    assert_eq!(faults("", &lonely), [""; 0]);
    assert_eq!(faults(service, &[]), [""; 0], "created later, perhaps");
    assert_eq!(faults(&format!("{service}tls = false\n"), &lonely), [""; 0]);
}

fn faults_with_mode(text: &str, others: &[(&str, &str)], file: &str, mode: u32) -> Vec<String> {
    let (dir, path) = files(text, others);
    fs::set_permissions(dir.path().join(file), Permissions::from_mode(mode)).unwrap();
    told(&path, dir.path())
}

#[test]
fn a_secret_that_others_can_write_is_a_fault() {
    let (certificate, key) = pair(&["a.org"]);
    let pairs = [("a.crt", &*certificate), ("a.key", &*key)];
    let eab = "[tls.acme]\nemail = \"a@b.c\"\n\
               eab = { kid = \"1\", hmac_file = \"DIR/hmac\" }\n";
    let sso = "[sso.corp]\nissuer = \"https://idp.org\"\nclient_id = \"weir\"\n\
               client_secret_file = \"DIR/secret\"\n";
    for (text, others, file, place) in [
        ("[tls]\ncert_dir = \"DIR\"\n", &pairs[..], "a.key", "2:1"),
        (eab, &[("hmac", "AAAA")], "hmac", "3:32"),
        (sso, &[("secret", "x")], "secret", "4:1"),
    ] {
        for mode in [0o620, 0o602] {
            assert_eq!(
                faults_with_mode(text, others, file, mode),
                [format!("{place}: DIR/{file}: others can write this secret (mode {mode:03o})")]
            );
        }
        assert_eq!(faults_with_mode(text, others, file, 0o644), [""; 0]);
    }
    let public = faults_with_mode("[tls]\ncert_dir = \"DIR\"\n", &pairs, "a.crt", 0o666);
    assert_eq!(public, [""; 0], "a certificate is no secret");
}

/// A secret is a line, and a FIFO would be waited for.
#[test]
fn what_is_no_plain_file_or_too_large_is_not_read() {
    let large = "A".repeat((1 << 20) + 1);
    let text = "[sso.corp]\nissuer = \"https://idp.org\"\nclient_id = \"weir\"\n\
                client_secret_file = \"DIR/secret\"\n";
    let (dir, path) = files(text, &[("secret", &large)]);
    assert_eq!(told(&path, dir.path()), ["4:1: DIR/secret: is larger than 1048576 bytes"]);
    let zero = text.replace("DIR/secret", "/dev/zero");
    let (dir, path) = files(&zero, &[]);
    assert_eq!(told(&path, dir.path()), ["4:1: /dev/zero: is no file"]);
    assert!(Path::new("/dev/zero").exists());
}
