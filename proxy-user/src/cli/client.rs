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

use crate::api::model::ErrorBody;

/// The daemon at the other end of a socket.
pub(super) struct Client {
    socket: PathBuf,
}

/// What the daemon answered.
pub(super) enum Answer<T> {
    /// What was asked for.
    Good(T),
    /// What was asked cannot be: the daemon's words.
    Refused(StatusCode, String),
}

impl Client {
    pub(super) fn new(socket: PathBuf) -> Self {
        Self { socket }
    }

    /// Whether a daemon answers.
    pub(super) fn is_answered(&self) -> bool {
        std::os::unix::net::UnixStream::connect(&self.socket).is_ok()
    }

    /// Asks and gives what was answered; a refusal is an error.
    pub(super) fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        match self.ask(Method::GET, path, None)? {
            Answer::Good(value) => Ok(value),
            Answer::Refused(_, message) => bail!(message),
        }
    }

    /// Asks with a JSON body, or none.
    pub(super) fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&serde_json::Value>,
    ) -> Result<Answer<T>> {
        runtime()?.block_on(async {
            let response = self.send(method, path, body).await?;
            let status = response.status();
            let bytes = response.into_body().collect().await?.to_bytes();
            if status.is_success() {
                let value = if bytes.is_empty() { b"null".as_slice() } else { &bytes };
                return Ok(Answer::Good(serde_json::from_slice(value)?));
            }
            Ok(Answer::Refused(status, message(&bytes, status)))
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
            let status = response.status();
            if !status.is_success() {
                let bytes = response.into_body().collect().await?.to_bytes();
                bail!(message(&bytes, status));
            }
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
        let stream =
            UnixStream::connect(&self.socket).await.map_err(|e| refused(&self.socket, e))?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let bytes = body.map(serde_json::to_vec).transpose()?.unwrap_or_default();
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "localhost")
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(bytes)))?;
        sender.send_request(request).await.context("the daemon hung up")
    }
}

fn runtime() -> Result<Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

fn refused(socket: &Path, error: io::Error) -> anyhow::Error {
    let socket = socket.display();
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            anyhow::anyhow!("no daemon answers at {socket}: is `weir run` running?")
        }
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
