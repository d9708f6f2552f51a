//! An authority whose certificates are good for whoever trusts it.

use std::{
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::ns::run;

/// The authority, and where it keeps what it made.
#[derive(Debug)]
pub struct Authority {
    directory: PathBuf,
}

impl Authority {
    /// A new one, in a directory of its own.
    pub fn new(directory: &Path) -> Result<Self> {
        let authority = Self { directory: directory.to_owned() };
        let mut openssl = request("/CN=Weir Test Authority");
        openssl.args(["-x509", "-days", "365", "-addext", "keyUsage=critical,keyCertSign,cRLSign"]);
        openssl.arg("-keyout").arg(authority.path("ca.key"));
        run(openssl.arg("-out").arg(authority.certificate()))?;
        Ok(authority)
    }

    /// Its own certificate (PEM).
    pub fn certificate(&self) -> PathBuf {
        self.path("ca.pem")
    }

    /// Writes NAME.crt and NAME.key for a domain, or an address, into `directory`.
    pub fn issue(&self, domain: &str, directory: &Path) -> Result<()> {
        fs::create_dir_all(directory).with_context(|| directory.display().to_string())?;
        let [asked, extensions] = ["asked.pem", "extensions"].map(|name| self.path(name));
        let mut openssl = request(&format!("/CN={domain}"));
        openssl.arg("-keyout").arg(directory.join(format!("{domain}.key")));
        run(openssl.arg("-out").arg(&asked))?;
        let kind = if domain.parse::<IpAddr>().is_ok() { "IP" } else { "DNS" };
        let text = format!(
            "subjectAltName={kind}:{domain}\nbasicConstraints=critical,CA:FALSE\n\
             keyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth\n\
             crlDistributionPoints=URI:http://ca.test/crl\n"
        );
        fs::write(&extensions, text)?;
        let mut openssl = Command::new("openssl");
        openssl.args(["x509", "-req", "-days", "90", "-CAcreateserial"]);
        openssl.arg("-CA").arg(self.certificate()).arg("-CAkey").arg(self.path("ca.key"));
        openssl.arg("-in").arg(asked).arg("-extfile").arg(extensions);
        run(openssl.arg("-out").arg(directory.join(format!("{domain}.crt")))).map(drop)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}

/// A request for a certificate with a new key.
fn request(subject: &str) -> Command {
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]);
    openssl.args(["-subj", subject]);
    openssl
}
