//! What the kernel knows of a TCP connection, as ss(8) tells it.

use anyhow::Result;

use crate::ns::Namespace;

/// One end of a connection: `ss`'s line about the socket that `filter` (ss syntax)
/// selects, empty where there is none.
pub fn socket(namespace: &Namespace, filter: &str) -> Result<String> {
    namespace.run(&format!("ss -Htin {filter}"))
}

/// Whether something listens on a port.
pub fn listens(namespace: &Namespace, port: u16) -> Result<bool> {
    Ok(!namespace.run(&format!("ss -Htln sport = :{port}"))?.trim().is_empty())
}

/// A figure of such a line, as the 7 in `backoff:7`; 0 where it is not told.
pub fn figure(socket: &str, name: &str) -> u64 {
    let mut words = socket.split_ascii_whitespace();
    let figure = words.find_map(|word| word.strip_prefix(name)?.strip_prefix(':')?.parse().ok());
    figure.unwrap_or(0)
}
