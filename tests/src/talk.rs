//! A client over HTTP/1.1 that sends whatever it is told to.

use std::{
    io::{ErrorKind, Read, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use anyhow::{Result, bail};

use crate::{client, ns::Namespace};

/// How long the other side may be silent.
const PATIENCE: Duration = Duration::from_secs(5);
/// Where connections come from.
const FROM: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// What became of a connection.
#[derive(Debug)]
pub struct Answers {
    /// The statuses of all answers, in order.
    pub statuses: Vec<u16>,
    /// All that came.
    pub text: String,
}

/// Sends bytes on a connection of their own, and reads to the connection's end.
pub fn talk(namespace: &Namespace, to: SocketAddr, bytes: &[u8]) -> Result<Answers> {
    let mut stream = client::connect((namespace, FROM), to)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    // Who is refused early does not hear the rest.
    let _ = stream.write_all(bytes);
    let mut said = Vec::new();
    match stream.read_to_end(&mut said).map_err(|error| error.kind()) {
        Ok(_) | Err(ErrorKind::ConnectionReset) => {}
        Err(error) => bail!("{error} after {:?}", String::from_utf8_lossy(&said)),
    }
    let text = String::from_utf8_lossy(&said).into_owned();
    // Behind the version's last digit and a blank.
    let heads = text.split("HTTP/1.").skip(1);
    let statuses = heads.filter_map(|head| head.get(2..5)?.parse().ok()).collect();
    Ok(Answers { statuses, text })
}
