//! What the programs log where they are built to.

use std::{fs, sync::Mutex};

use proxy_common::packet::Segment;
use tempfile::NamedTempFile;
use tracing_subscriber::util::SubscriberInitExt;

use proxy_user::policy::{CidrFlags, Rules};

use crate::{
    frames::{Frame, datagram, syn},
    harness::{HOOKS, HOST4, Kernel, Result, frame_for},
};

/// What a log like the daemon's shows of one packet.
fn lines(program: &'static str, frame: &Frame) -> Result<String> {
    let file = NamedTempFile::new()?;
    let log = tracing_subscriber::fmt().with_env_filter("weir_ebpf=debug").without_time();
    let log = log.with_ansi(false).with_writer(Mutex::new(file.reopen()?));
    let _here = log.set_default();
    let mut kernel = Kernel::new(&Rules::OPEN, &[("198.51.100.0/24", CidrFlags::BLOCKED)])?;
    kernel.run(program, &frame_for(program, frame))?;
    kernel.maps.log.flush();
    Ok(fs::read_to_string(file.path())?)
}

#[test]
fn a_denied_packet_is_one_line_whichever_program_drops_it() -> Result {
    for hook in HOOKS {
        let line = "DEBUG weir_ebpf: denied           tcp ::ffff:198.51.100.77 port 40000 to \
                    ::ffff:192.0.2.1 port 22, flags 0x2\n";
        assert_eq!(lines(hook, &syn("198.51.100.77", HOST4))?, line, "{hook}");
        let line = "DEBUG weir_ebpf: denied           udp ::ffff:198.51.100.77 port 40000 to \
                    ::ffff:192.0.2.1 port 53, flags 0x0\n";
        assert_eq!(lines(hook, &datagram("198.51.100.77", HOST4))?, line, "{hook}");
    }
    Ok(())
}

#[test]
fn what_the_host_answers_is_a_line_too_and_what_is_not_weir_s_is_none() -> Result {
    let answer = syn("203.0.113.7", HOST4).reply();
    let flags = Segment::SYN | Segment::ACK;
    let line = "DEBUG weir_ebpf: flow             tcp ::ffff:192.0.2.1 port 22 to \
                ::ffff:203.0.113.7 port 40000, flags 0x12\n";
    assert_eq!(lines("weir_egress", &Frame { flags, ..answer.clone() })?, line);
    assert_eq!(lines("weir_egress", &Frame { from_port: 23, flags, ..answer })?, "");
    Ok(())
}
