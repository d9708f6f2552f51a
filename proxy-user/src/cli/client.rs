//! Asks the daemon over its control socket.

use std::{
    fmt::Write,
    io,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, Response, StatusCode, body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::{net::UnixStream, runtime::Runtime};

use super::Wrong;
use crate::api::model::ErrorBody;

/// The daemon at the other end of a socket.
pub(super) struct Client {
    socket: PathBuf,
}

impl Client {
    pub(super) fn new(socket: PathBuf) -> Self {
        Self { socket }
    }

    /// Whether a daemon runs; an error where that is not for everyone to know.
    pub(super) fn finds_daemon(&self) -> Result<bool> {
        Ok(runtime()?.block_on(self.connect())?.is_some())
    }

    /// The daemon's process, where one runs.
    pub(super) fn process(&self) -> Result<Option<u32>> {
        let Some(stream) = runtime()?.block_on(self.connect())? else { return Ok(None) };
        let process = stream.peer_cred()?.pid().and_then(|process| u32::try_from(process).ok());
        process.map(Some).context("the daemon is in another PID namespace")
    }

    /// `None`: nobody listens there.
    async fn connect(&self) -> Result<Option<UnixStream>> {
        match UnixStream::connect(&self.socket).await {
            Ok(stream) => Ok(Some(stream)),
            Err(error) => match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Ok(None),
                _ => Err(refused(&self.socket, error)),
            },
        }
    }

    /// Asks for what is there.
    pub(super) fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        self.ask(Method::GET, path, None)
    }

    /// Asks with a JSON body, or none. What the daemon refuses is an error in its
    /// words, a [`Wrong`] where it is the asker's.
    pub(super) fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&serde_json::Value>,
    ) -> Result<T> {
        runtime()?.block_on(async {
            let response = self.send(method, path, body).await?;
            let bytes = response.into_body().collect().await?.to_bytes();
            let value = if bytes.is_empty() { b"null".as_slice() } else { &bytes };
            Ok(serde_json::from_slice(value)?)
        })
    }

    /// Hands each piece of a long answer to `take` as it comes, until `take` has
    /// enough.
    pub(super) fn stream(
        &self,
        path: &str,
        mut take: impl FnMut(&[u8]) -> Result<bool>,
    ) -> Result<()> {
        runtime()?.block_on(async {
            let mut response = self.send(Method::GET, path, None).await?;
            while let Some(frame) = response.body_mut().frame().await {
                if let Ok(data) = frame?.into_data()
                    && !take(&data)?
                {
                    break;
                }
            }
            Ok(())
        })
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&serde_json::Value>,
    ) -> Result<Response<Incoming>> {
        let Some(stream) = self.connect().await? else {
            bail!("no daemon answers at {}: is `weir run` running?", self.socket.display())
        };
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let bytes = body.map(serde_json::to_vec).transpose()?.unwrap_or_default();
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "localhost")
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(bytes)))?;
        let response = sender.send_request(request).await.context("the daemon hung up")?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let message = message(&response.into_body().collect().await?.to_bytes(), status);
        if status.is_client_error() { Err(Wrong(message).into()) } else { bail!(message) }
    }
}

pub(super) fn runtime() -> Result<Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

fn refused(socket: &Path, error: io::Error) -> anyhow::Error {
    let socket = socket.display();
    match error.kind() {
        io::ErrorKind::PermissionDenied => anyhow::anyhow!(
            "{socket} is for root and the control group (api.control_group), which you are not in"
        ),
        _ => anyhow::Error::new(error).context(format!("{socket}")),
    }
}

fn message(bytes: &[u8], status: StatusCode) -> String {
    serde_json::from_slice::<ErrorBody>(bytes)
        .map_or_else(|_| format!("the daemon answered {status}"), |body| body.message)
}

/// A query string out of names and values.
pub(super) fn query<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut text = String::new();
    for (name, value) in pairs {
        text.push(if text.is_empty() { '?' } else { '&' });
        text.push_str(name);
        text.push('=');
        for byte in value.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                text.push(byte.into());
            } else {
                // Writing into a string cannot fail.
                let _ = write!(text, "%{byte:02X}");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::net::UnixListener};

    use super::*;

    #[test]
    fn only_where_nobody_listens_no_daemon_runs() {
        let dir = tempfile::tempdir().expect("a directory");
        let client = |name: &str| Client::new(dir.path().join(name));
        let listener = UnixListener::bind(dir.path().join("socket")).expect("bound");
        assert_eq!(client("socket").process().expect("known"), Some(std::process::id()));
        drop(listener);
        assert_eq!(client("socket").process().expect("known"), None, "a stale socket");
        assert_eq!(client("none").process().expect("known"), None);
        fs::write(dir.path().join("file"), "").expect("written");
        assert!(client("file/socket").finds_daemon().is_err(), "it cannot be looked at");
    }

    #[test]
    fn who_may_not_ask_is_told_so() {
        let error = refused(Path::new("/run/s"), io::ErrorKind::PermissionDenied.into());
        assert!(error.to_string().contains("control group"), "{error}");
    }
}
