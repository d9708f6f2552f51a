//! What a socket has sent, and its peer's host not acknowledged.

use std::{ffi::c_int, io, os::fd::AsFd};

use rustix::ioctl::{Getter, Opcode, ioctl};

/// `SIOCOUTQ`, linux/sockios.h: a number of before opcodes told a size.
const OUTQ: Opcode = 0x5411;

/// Bytes in the send queue of a TCP socket (tcp(7), `SIOCOUTQ`).
pub fn unsent(socket: impl AsFd) -> io::Result<u64> {
    // SAFETY: this ioctl writes one int, and the getter has room for one.
    let bytes = unsafe { ioctl(socket, Getter::<OUTQ, c_int>::new()) }?;
    Ok(u64::try_from(bytes).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::{
        io::{Read, Write},
        net::{TcpListener, TcpStream},
        time::Duration,
    };

    use weir_tests::wait::holds;

    use super::*;

    #[test]
    fn what_the_peer_has_no_room_for_is_unsent() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        assert_eq!(unsent(&client).unwrap(), 0);
        client.set_write_timeout(Some(Duration::from_millis(50))).unwrap();
        let mut room = vec![0; 65_536];
        while client.write(&room).is_ok() {}
        assert!(unsent(&client).unwrap() > 0);
        server.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        while server.read(&mut room).is_ok() {}
        assert!(holds(Duration::from_secs(5), || unsent(&client).unwrap() == 0));
    }
}
