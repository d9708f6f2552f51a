//! A connection without TLS on which requests follow each other.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{IpAddr, SocketAddr, TcpStream},
};

use anyhow::{Context, Result, ensure};

use crate::{client, lab::Lab};

/// A client's connection to a site.
#[derive(Debug)]
pub struct Kept {
    stream: BufReader<TcpStream>,
    host: String,
}

impl Kept {
    /// From one of the clients' addresses.
    pub fn connect(lab: &Lab, from: IpAddr, to: SocketAddr, host: &str) -> Result<Self> {
        let stream = client::connect((&lab.clients, from), to)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream), host: host.to_owned() })
    }

    /// Asks for a path, with more lines of a head, each with its end.
    pub fn ask(&mut self, path: &str, lines: &str) -> Result<()> {
        let head = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n{lines}\r\n", self.host);
        Ok(self.stream.get_mut().write_all(head.as_bytes())?)
    }

    /// The head of an answer: the status, and the length of a body where that is told.
    pub fn head(&mut self) -> Result<(u16, Option<usize>)> {
        let (status, mut length) = (self.line()?, None);
        loop {
            let line = self.line()?;
            if let Some(value) = line.to_lowercase().strip_prefix("content-length: ") {
                length = Some(value.parse()?);
            }
            if line.is_empty() {
                let status = status.split(' ').nth(1).context("no status")?.parse()?;
                return Ok((status, length));
            }
        }
    }

    /// Asks for a path and hears the whole answer; its status.
    pub fn get(&mut self, path: &str) -> Result<u16> {
        self.ask(path, "")?;
        let (status, length) = self.head()?;
        self.skip(length.context("no length")?)?;
        Ok(status)
    }

    /// Reads a body of that length.
    pub fn skip(&mut self, length: usize) -> Result<()> {
        Ok(self.stream.read_exact(&mut vec![0; length])?)
    }

    /// A line of what comes, without its end.
    pub fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        ensure!(self.stream.read_line(&mut line)? > 0, "the connection ended");
        Ok(line.trim_end().to_owned())
    }

    /// Reads up to the end of the connection, whatever it is; what came.
    pub fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        // A reset is an end, too.
        let _ = self.stream.read_to_end(&mut rest);
        String::from_utf8_lossy(&rest).into_owned()
    }

    /// The connection itself. Nothing may have been read ahead.
    pub fn stream(&mut self) -> &mut TcpStream {
        self.stream.get_mut()
    }
}
