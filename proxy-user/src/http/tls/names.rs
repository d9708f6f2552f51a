//! Whom a certificate's names are for (RFC 6125, 6.4.3: a `*` is one whole label).

/// The name with its first label replaced by `*`; `None` where it has one label, or that
/// is a `*` already.
pub(super) fn wildcard_of(name: &str) -> Option<String> {
    let (first, rest) = name.split_once('.')?;
    (first != "*" && !rest.is_empty()).then(|| format!("*.{rest}"))
}

/// Whether a certificate for `names` is good for a domain: a name, or `*.` and one, which
/// only the same covers.
pub(super) fn cover(names: &[String], domain: &str) -> bool {
    let wildcard = wildcard_of(domain);
    names.iter().any(|name| name == domain || Some(name) == wildcard.as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_covers_one_label_and_not_the_name_below_it() {
        let names = ["*.example.com".to_owned(), "example.org".to_owned()];
        for covered in ["a.example.com", "*.example.com", "example.org"] {
            assert!(cover(&names, covered), "{covered}");
        }
        for other in ["example.com", "a.b.example.com", "*.b.example.com", "a.example.org", "com"] {
            assert!(!cover(&names, other), "{other}");
        }
    }
}
