//! `[tls]` and `[http]`

use std::path::Path;

use base64::{
    Engine,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

use super::{
    Acme, AcmeChallenge, Eab, Http, Tls,
    certificates::CertDir,
    fault::At,
    fields::Fields,
    pem::ca_file,
    prefix::prefix,
    schema::{TLS_ACME, TLS_ACME_EAB},
    secret_file::read_secret,
    sso::is_email,
    tree::Value,
    urls::trusted_url,
};

const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";
/// Authorities hand keys out with padding and without.
const BASE64_URL: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// `[http]`
pub(super) fn http(fields: &mut Fields<'_, '_>) -> Http {
    Http { trusted_proxies: fields.list("trusted_proxies", prefix) }
}

/// `[tls]`, and where its `cert_dir` stands.
pub(super) fn tls(fields: &mut Fields<'_, '_>, data_dir: &Path) -> (Tls, CertDir) {
    let default = data_dir.join("certs");
    let named = fields.path("cert_dir").filter(|dir| *dir != default);
    let dir = CertDir { at: fields.place("cert_dir"), is_named: named.is_some() };
    let tls = Tls {
        cert_dir: named.unwrap_or(default),
        self_signed: fields.boolean("self_signed").unwrap_or(true),
        acme: acme(fields),
    };
    (tls, dir)
}

/// An e-mail, or a table.
fn acme(fields: &mut Fields<'_, '_>) -> Option<Acme> {
    let node = fields.node("acme")?;
    match &node.value {
        Value::String(text) => Some(Acme {
            directory: LETS_ENCRYPT.to_owned(),
            email: email(fields, text, node.at)?,
            challenge: AcmeChallenge::TlsAlpn01,
            ca_file: None,
            eab: None,
        }),
        Value::Table(table) => {
            let at = fields.place("acme");
            let mut inner = Fields::new(table, at, (&TLS_ACME, "tls.acme"), fields.report);
            acme_table(&mut inner)
        }
        other => {
            let message = format!("acme takes an e-mail or a table, not {}", other.kind());
            fields.report.fault(node.at, message);
            None
        }
    }
}

fn acme_table(fields: &mut Fields<'_, '_>) -> Option<Acme> {
    if fields.node("email").is_none() {
        fields.report.fault(fields.at, "[tls.acme] has no email");
    }
    let challenges =
        [("tls-alpn-01", AcmeChallenge::TlsAlpn01), ("http-01", AcmeChallenge::Http01)];
    let directory = trusted_url(fields, "directory");
    let challenge = fields.choice("challenge", &challenges);
    let ca_file = ca_file(fields);
    let eab = eab(fields);
    let (text, at) = fields.string("email")?;
    Some(Acme {
        directory: directory.unwrap_or_else(|| LETS_ENCRYPT.to_owned()),
        email: email(fields, text, at)?,
        challenge: challenge.unwrap_or(AcmeChallenge::TlsAlpn01),
        ca_file,
        eab,
    })
}

fn email(fields: &mut Fields<'_, '_>, text: &str, at: At) -> Option<String> {
    if !is_email(text) {
        fields.report.fault(at, format!("{text:?} is no e-mail, to which the authority may write"));
        return None;
    }
    Some(text.to_owned())
}

/// External account binding; both keys empty are none.
fn eab(fields: &mut Fields<'_, '_>) -> Option<Eab> {
    let (table, at) = fields.table("eab")?;
    let mut inner = Fields::new(table, at, (&TLS_ACME_EAB, "tls.acme.eab"), fields.report);
    let (kid, file) = (inner.string("kid"), inner.string("hmac_file"));
    let is_set = |value: Option<(&str, At)>| value.is_some_and(|(text, _)| !text.is_empty());
    match (is_set(kid), is_set(file)) {
        (false, false) => return None,
        (true, true) => {}
        _ => {
            inner.report.fault(at, "[tls.acme.eab] takes both kid and hmac_file");
            return None;
        }
    }
    let ((kid, _), (file, file_at)) = (kid?, file?);
    let key = hmac_key(Path::new(file)).map_err(|why| fields.report.fault(file_at, why)).ok()?;
    Some(Eab { kid: kid.to_owned(), key })
}

fn hmac_key(path: &Path) -> Result<Vec<u8>, String> {
    let text = read_secret(path)?;
    let key = BASE64_URL.decode(text.trim()).ok().filter(|key| !key.is_empty());
    key.ok_or_else(|| format!("{}: holds no base64url key", path.display()))
}
