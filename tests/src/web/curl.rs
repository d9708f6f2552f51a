//! curl as a client of HTTP services.

use std::{
    ffi::OsStr,
    net::IpAddr,
    process::{Command, Output},
};

use anyhow::{Context, Result, ensure};

use crate::{
    lab::{self, Lab},
    weir::Weir,
};

/// A request that is to be made. Every name leads to the server, and certificates are not
/// verified unless an argument says by what.
#[derive(Debug)]
pub struct Curl {
    command: Command,
    is_verified: bool,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// `HTTP/1.1` or another.
    pub version: String,
    /// Of the last head.
    pub status: u16,
    /// In the order in which they came, with the trailers.
    pub headers: Vec<(String, String)>,
    /// What is no text is replaced.
    pub body: String,
}

impl Curl {
    /// Of a client in Germany.
    pub fn new(lab: &Lab) -> Self {
        Self::from(lab, lab::DE4)
    }

    /// From one of the clients' addresses, to one of the server's.
    pub fn from(lab: &Lab, address: IpAddr) -> Self {
        let server = match address {
            lab::PRIVATE4 => lab::SERVER_PRIVATE4,
            IpAddr::V4(_) => lab::SERVER4,
            IpAddr::V6(_) => lab::SERVER6,
        };
        let server = if server.is_ipv6() { format!("[{server}]") } else { server.to_string() };
        Self::through(lab, address, &format!("::{server}:"))
    }

    /// From one of the clients' addresses; where all requests go instead, as in curl's
    /// `--connect-to`.
    pub fn through(lab: &Lab, address: IpAddr, instead: &str) -> Self {
        let mut command = lab.clients.bound_command("curl");
        command.args(["--silent", "--show-error", "--include", "--max-time", "20", "--interface"]);
        command.arg(address.to_string()).arg("--connect-to").arg(instead);
        Self { command, is_verified: false }
    }

    /// With more of curl's arguments.
    #[must_use]
    pub fn with(mut self, arguments: &[impl AsRef<OsStr>]) -> Self {
        self.command.args(arguments);
        self
    }

    /// Certificates are to be good by this one.
    #[must_use]
    pub fn verifying(mut self, certificate: &std::path::Path) -> Self {
        self.command.arg("--cacert").arg(certificate);
        self.is_verified = true;
        self
    }

    /// Makes it; the answer.
    pub fn get(self, url: &str) -> Result<Answer> {
        let output = self.output(url)?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.success(), "curl {url}: {}: {said}", output.status);
        parse(&output.stdout).with_context(|| format!("curl {url}: {output:?}"))
    }

    /// Makes it; how that ended.
    pub fn output(mut self, url: &str) -> Result<Output> {
        if !self.is_verified {
            self.command.arg("--insecure");
        }
        Ok(self.command.arg(url).output()?)
    }
}

/// Signs in with a password, as a browser in Germany does; the file with its cookies.
pub fn sign_in(lab: &Lab, weir: &Weir<'_>, host: &str, password: &str) -> Result<String> {
    let jar = weir.path("jar").to_string_lossy().into_owned();
    let (origin, form) = (format!("Origin: https://{host}"), format!("password={password}"));
    let form = ["--cookie-jar", &jar, "-H", &origin, "-d", &form];
    let opened = Curl::new(lab).with(&form).get(&format!("https://{host}/.weir/login"))?;
    ensure!(opened.status == 303, "{opened:?}");
    Ok(jar)
}

/// The last head of several (redirects, 1xx), and all that follows.
fn parse(output: &[u8]) -> Option<Answer> {
    let mut rest = output;
    loop {
        let end = rest.windows(4).position(|four| four == b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&rest[..end]).into_owned();
        rest = &rest[end + 4..];
        let mut lines = head.split("\r\n");
        let mut first = lines.next()?.split(' ');
        let (version, status) = (first.next()?.to_owned(), first.next()?.parse().ok()?);
        if (100..200).contains(&status) && status != 101 && rest.starts_with(b"HTTP/") {
            continue;
        }
        let headers = lines.filter_map(|line| line.split_once(": "));
        let headers = headers.map(|(name, value)| (name.to_lowercase(), value.to_owned()));
        let body = String::from_utf8_lossy(rest).into_owned();
        return Some(Answer { version, status, headers: headers.collect(), body });
    }
}

impl Answer {
    /// The first header of that name, in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.all(name).first().copied()
    }

    /// All headers of that name, in lower case.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let of_name = self.headers.iter().filter(|(n, _)| n == name);
        of_name.map(|(_, value)| value.as_str()).collect()
    }

    /// The request's id, as one of Weir's pages tells it.
    pub fn told_id(&self) -> Result<&str> {
        let line = self.body.lines().find_map(|line| line.strip_prefix("Request "));
        line.with_context(|| format!("no id: {self:?}"))
    }
}
