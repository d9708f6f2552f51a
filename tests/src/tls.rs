//! Certificates, and what TLS clients say first.

use std::{
    ffi::OsStr,
    fs,
    io::Read,
    net::{IpAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
};

use anyhow::{Context, Result, ensure};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};

use crate::ns::run;

/// A certificate that signs itself, and its key.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// PEM.
    pub certificate: PathBuf,
    /// PEM.
    pub key: PathBuf,
}

impl Certificate {
    /// Makes one for these names.
    pub fn new(directory: &Path, names: &[&str]) -> Result<Self> {
        let names: Vec<String> = names.iter().map(|name| format!("DNS:{name}")).collect();
        Self::make(directory, &names.join(","), &[])
    }

    /// Makes one for a server, by its address or name, that is no authority's: rustls
    /// takes no authority for a server.
    pub fn of_server(directory: &Path, server: &str) -> Result<Self> {
        let kind = if server.parse::<IpAddr>().is_ok() { "IP" } else { "DNS" };
        // OpenSSL's own configuration would make it an authority.
        let plain = directory.join("openssl.cnf");
        fs::write(&plain, "[req]\ndistinguished_name = name\n[name]\n")?;
        let more = ["-config".as_ref(), plain.as_os_str()];
        Self::make(directory, &format!("{kind}:{server}"), &more)
    }

    fn make(directory: &Path, names: &str, more: &[&OsStr]) -> Result<Self> {
        let [certificate, key] = ["cert.pem", "key.pem"].map(|name| directory.join(name));
        let mut openssl = Command::new("openssl");
        openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]);
        openssl.args(["-nodes", "-days", "2", "-subj", "/CN=weir.test", "-addext"]);
        openssl.arg(format!("subjectAltName={names}")).args(more);
        run(openssl.arg("-keyout").arg(&key).arg("-out").arg(&certificate))?;
        Ok(Self { certificate, key })
    }
}

/// What OpenSSL says first to a server of that name.
pub fn client_hello(name: &str) -> Result<Vec<u8>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut openssl = Command::new("openssl");
    openssl.args(["s_client", "-servername", name, "-connect"]);
    openssl.arg(listener.local_addr()?.to_string());
    openssl.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut client = openssl.spawn().context("openssl")?;
    let (mut stream, _) = listener.accept()?;
    let mut hello = vec![0; 5];
    stream.read_exact(&mut hello)?;
    let length = u16::from_be_bytes([hello[3], hello[4]]);
    hello.resize(5 + usize::from(length), 0);
    stream.read_exact(&mut hello[5..])?;
    drop(stream);
    client.wait()?;
    ensure!(hello[0] == 22, "no handshake: {hello:?}");
    Ok(hello)
}

/// How a client speaks TLS who trusts an authority (PEM).
/// Clients offer these protocols (ALPN).
pub fn trusting(authority: &Path, protocols: &[&str]) -> Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority)?)?;
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions()?.with_root_certificates(roots);
    let mut config = config.with_no_client_auth();
    config.alpn_protocols = names(protocols);
    Ok(Arc::new(config))
}

/// Protocols as rustls takes them.
pub(crate) fn names(protocols: &[&str]) -> Vec<Vec<u8>> {
    protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect()
}

/// Speaks TLS on a connection to a server of that name, with the first byte on.
pub fn speak(
    stream: TcpStream,
    name: &str,
    config: &Arc<ClientConfig>,
) -> Result<StreamOwned<ClientConnection, TcpStream>> {
    let name = ServerName::try_from(name.to_owned())?;
    let connection = ClientConnection::new(Arc::clone(config), name)?;
    Ok(StreamOwned::new(connection, stream))
}
