//! The quick start's backends: two ports of loopback that answer HTTP.

use std::{
    io::{self, BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    os::unix::process::parent_id,
    thread,
    time::Duration,
};

use anyhow::{Context, Result};

/// What the quick start relays to, and what it guards.
const PAGES: [(&str, &str); 2] = [
    ("127.0.0.1:9081", "hello from behind Weir's relay\n"),
    ("127.0.0.1:9082", "hello from a port that Weir guards\n"),
];
/// What is printed once both listen.
pub(crate) const READY: &str = "ready";
const LOOK: Duration = Duration::from_secs(1);

pub(crate) fn run() -> Result<()> {
    let parent = parent_id();
    for (address, page) in PAGES {
        let listener = TcpListener::bind(address)
            .with_context(|| format!("the quick start's backend cannot listen on {address}"))?;
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that hangs up early has its reasons.
                let _ = answer(&stream, page);
            }
        });
    }
    println!("{READY}");
    while parent_id() == parent {
        thread::sleep(LOOK);
    }
    Ok(())
}

fn answer(mut stream: &TcpStream, page: &str) -> Result<()> {
    stream.set_read_timeout(Some(LOOK))?;
    let head = BufReader::new(stream).lines();
    for line in head.map_while(Result::ok) {
        if line.is_empty() {
            break;
        }
    }
    let length = page.len();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{page}"
    )?;
    // The client, which knows the length, closes first: the record says the same each time.
    io::copy(&mut stream, &mut io::sink())?;
    Ok(())
}
