//! What answers every connection with the bytes for its path, and counts them.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use parking_lot::Mutex;
use serde_json::json;

use crate::config::SsoProvider;

/// A provider that speaks HTTP without TLS.
pub(super) struct Stub {
    pub(super) provider: Arc<SsoProvider>,
    count: Arc<AtomicUsize>,
    answers: Arc<Mutex<Answers>>,
}

/// By the path's beginning; the first that fits.
type Answers = Vec<(&'static str, Vec<u8>)>;

impl Stub {
    /// It ends with the process.
    pub(super) fn start(answer: impl Into<Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let answers = Arc::new(Mutex::new(vec![("/", answer.into())]));
        let count = Arc::new(AtomicUsize::new(0));
        let (told, counted) = (Arc::clone(&answers), Arc::clone(&count));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                counted.fetch_add(1, Ordering::Relaxed);
                reply(stream, &told.lock());
            }
        });
        let provider = SsoProvider {
            name: "stub".to_owned(),
            issuer: format!("http://{address}"),
            client_id: String::new(),
            client_secret: String::new(),
            scopes: Vec::new(),
            groups_claim: String::new(),
            callback: None,
            recheck: Duration::from_hours(1),
            ca_file: None,
        };
        Self { provider: Arc::new(provider), count, answers }
    }

    /// One that says where its token endpoint is, and that it has no other but `more`.
    pub(super) fn discovered(more: &[&str]) -> Self {
        let stub = Self::start("");
        let issuer = &stub.provider.issuer;
        let mut metadata = json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{issuer}/auth"),
            "token_endpoint": format!("{issuer}/token"),
            "jwks_uri": format!("{issuer}/jwks"),
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
        });
        for name in more {
            metadata[format!("{name}_endpoint")] = format!("{issuer}/{name}").into();
        }
        stub.answers("/.well-known/", &ok(&metadata));
        stub.answers("/jwks", &ok(&json!({ "keys": [] })));
        stub
    }

    /// What it answers there from now on.
    pub(super) fn answers(&self, path: &'static str, answer: &str) {
        self.answers.lock().insert(0, (path, answer.into()));
    }

    pub(super) fn requests(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}

/// An answer in JSON.
pub(super) fn ok(body: &serde_json::Value) -> String {
    answer("200 OK\r\nContent-Type: application/json", &body.to_string())
}

/// `head`: without the version.
pub(super) fn answer(head: &str, body: &str) -> String {
    format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn reply(mut stream: TcpStream, answers: &Answers) {
    // The head is in one segment, and a client may leave before the end.
    let mut request = [0; 4096];
    let read = stream.read(&mut request).unwrap_or_default();
    let line = String::from_utf8_lossy(&request[..read]);
    let path = line.split(' ').nth(1).unwrap_or("/");
    if let Some((_, answer)) = answers.iter().find(|(begin, _)| path.starts_with(begin)) {
        let _ = stream.write_all(answer);
    }
}
