//! Requests of HTTP/1.1, as a target reads them.

use std::io::{self, BufRead, Error, ErrorKind, Read};

/// What every target receives of curl's requests, and of Weir.
const HEADERS: [&str; 11] = [
    "accept",
    "forwarded",
    "host",
    "user-agent",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-real-ip",
    "x-request-id",
];

/// A request that a target has received, as it came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// Its first line.
    pub line: String,
    /// Its headers, in order, with names as they were written.
    pub headers: Vec<(String, String)>,
    /// Its body, without what frames it.
    pub body: Vec<u8>,
    /// What followed the body.
    pub trailers: Vec<(String, String)>,
}

impl Received {
    /// Its method.
    pub fn method(&self) -> &str {
        self.line.split(' ').next().unwrap_or_default()
    }

    /// What it is for, with the query.
    pub fn path(&self) -> &str {
        self.line.split(' ').nth(1).unwrap_or_default()
    }

    /// All headers of that name, which is compared in any case.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let of_name = self.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
        of_name.map(|(_, value)| value.as_str()).collect()
    }

    /// The only header of that name; `None` where there are others or none.
    pub fn header(&self, name: &str) -> Option<&str> {
        match self.all(name).as_slice() {
            [only] => Some(only),
            _ => None,
        }
    }

    /// The names of all its headers in lower case, sorted.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> =
            self.headers.iter().map(|(name, _)| name.to_lowercase()).collect();
        names.sort();
        names
    }

    /// Asserts that it has [`HEADERS`] and these, and no others.
    ///
    /// # Panics
    /// One is missing, or there is another.
    pub fn assert_headers(&self, others: &[&str]) {
        let mut expected = [&HEADERS[..], others].concat();
        expected.sort_unstable();
        assert_eq!(self.names(), expected, "{}", self.head());
    }

    /// Its head, line by line.
    pub fn head(&self) -> String {
        let headers = self.headers.iter().map(|(name, value)| format!("{name}: {value}\n"));
        std::iter::once(format!("{}\n", self.line)).chain(headers).collect()
    }
}

/// The next request of a connection; `None` at its end.
pub(super) fn request(from: &mut impl BufRead) -> io::Result<Option<Received>> {
    let Some(line) = line(from)? else { return Ok(None) };
    let headers = headers(from)?;
    let mut received = Received { line, headers, ..Received::default() };
    let is_chunked = received.header("transfer-encoding") == Some("chunked");
    let length = received.header("content-length").and_then(|length| length.parse().ok());
    if is_chunked {
        chunks(from, &mut received)?;
    } else if let Some(length) = length {
        from.take(length).read_to_end(&mut received.body)?;
        if received.body.len() as u64 != length {
            return Err(ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(Some(received))
}

fn chunks(from: &mut impl BufRead, received: &mut Received) -> io::Result<()> {
    loop {
        let line = line(from)?.ok_or(ErrorKind::UnexpectedEof)?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let size = u64::from_str_radix(size, 16).map_err(Error::other)?;
        if size == 0 {
            received.trailers = headers(from)?;
            return Ok(());
        }
        from.take(size).read_to_end(&mut received.body)?;
        from.read_exact(&mut [0; 2])?;
    }
}

fn headers(from: &mut impl BufRead) -> io::Result<Vec<(String, String)>> {
    let mut headers = Vec::new();
    loop {
        let line = line(from)?.ok_or(ErrorKind::UnexpectedEof)?;
        if line.is_empty() {
            return Ok(headers);
        }
        let (name, value) = line.split_once(": ").unwrap_or((&line, ""));
        headers.push((name.to_owned(), value.to_owned()));
    }
}

fn line(from: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    if from.read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    let text = line.strip_suffix(b"\r\n").ok_or(ErrorKind::InvalidData)?;
    Ok(Some(String::from_utf8_lossy(text).into_owned()))
}
