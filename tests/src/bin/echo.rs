//! `echo ADDRESS`: sends back what comes, on as many connections as it may have files.
//! It says when it listens, and ends with its standard input. If it is killed, its
//! connections are reset, as they are by a host that died and is back.

use std::{
    collections::HashMap,
    env,
    io::{self, Read, Write, stdin},
    net::{SocketAddr, TcpListener, TcpStream},
    os::fd::AsRawFd,
    time::Duration,
};

use anyhow::{Context, Result};
use rustix::{
    buffer::spare_capacity,
    event::epoll::{self, CreateFlags, EventData, EventFlags},
};
use socket2::{Domain, SockRef, Socket, Type};

const BACKLOG: i32 = 4096;
const INPUT: u64 = 0;

fn main() -> Result<()> {
    let address: SocketAddr = env::args().nth(1).context("an address")?.parse()?;
    let listener = listen(address).with_context(|| format!("listening on {address}"))?;
    println!("{address}");
    Ok(serve(&listener)?)
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// What is ready is read, and answered at once: the pieces are small.
fn serve(listener: &TcpListener) -> io::Result<()> {
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    let accepting = key(listener);
    epoll::add(&epoll, stdin(), EventData::new_u64(INPUT), EventFlags::IN)?;
    epoll::add(&epoll, listener, EventData::new_u64(accepting), EventFlags::IN)?;
    let mut open: HashMap<u64, TcpStream> = HashMap::new();
    let mut events = Vec::with_capacity(1024);
    loop {
        epoll::wait(&epoll, spare_capacity(&mut events), None)?;
        for event in events.drain(..) {
            match event.data.u64() {
                INPUT => return open.values().try_for_each(end_in_order),
                ready if ready == accepting => {
                    let (stream, _) = listener.accept()?;
                    SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
                    let data = EventData::new_u64(key(&stream));
                    epoll::add(&epoll, &stream, data, EventFlags::IN)?;
                    open.insert(key(&stream), stream);
                }
                ready => {
                    if open.get_mut(&ready).is_some_and(|stream| !answer(stream))
                        && let Some(stream) = open.remove(&ready)
                    {
                        end_in_order(&stream)?;
                    }
                }
            }
        }
    }
}

fn end_in_order(stream: &TcpStream) -> io::Result<()> {
    SockRef::from(stream).set_linger(None)
}

fn key(file: &impl AsRawFd) -> u64 {
    u64::try_from(file.as_raw_fd()).unwrap_or_default()
}

/// Whether there is more to come.
fn answer(stream: &mut TcpStream) -> bool {
    let mut buffer = [0; 4096];
    match stream.read(&mut buffer) {
        Ok(0) | Err(_) => false,
        Ok(count) => stream.write_all(&buffer[..count]).is_ok(),
    }
}
