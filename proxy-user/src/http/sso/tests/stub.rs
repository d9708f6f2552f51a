//! What answers every connection with the same bytes, and counts them.

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

use crate::config::SsoProvider;

/// A provider that speaks HTTP without TLS.
pub(super) struct Stub {
    pub(super) provider: Arc<SsoProvider>,
    count: Arc<AtomicUsize>,
}

impl Stub {
    /// It ends with the process.
    pub(super) fn start(answer: impl Into<Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (answer, count) = (answer.into(), Arc::new(AtomicUsize::new(0)));
        let counted = Arc::clone(&count);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                counted.fetch_add(1, Ordering::Relaxed);
                reply(stream, &answer);
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
        Self { provider: Arc::new(provider), count }
    }

    pub(super) fn requests(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}

fn reply(mut stream: TcpStream, answer: &[u8]) {
    // The request is in one segment, and a client may leave before the end.
    let _ = stream.read(&mut [0; 4096]).and_then(|_| stream.write_all(answer));
}
