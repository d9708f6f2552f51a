//! Pins are one daemon's at a time, wherever another one has its data and its socket.

use std::net::SocketAddr;

use anyhow::Result;
use weir_tests::{
    client::{self, Refusal},
    kernel,
    lab::{self, BLOCKED4_CIDR, Lab},
    scenario::{self, GUARDED, Servers},
    server::Behaviour,
    wait::{SOON, holds},
    weir::Weir,
};

#[test]
fn neither_a_second_daemon_nor_detach_takes_what_a_daemon_uses() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _servers = Servers::start(&lab, Behaviour::Echo)?;
    let policy = scenario::guarded(&format!("blocked_cidrs = ['{BLOCKED4_CIDR}']"));
    let mut first = Weir::start(&lab.server, "", &policy)?;
    let fate = || {
        let to = SocketAddr::new(lab::SERVER4, GUARDED);
        client::refusal((&lab.clients, lab::BLOCKED4), to, SOON / 20)
    };

    // Its data and its socket are its own, the pins are not.
    let mut second = Weir::install(&lab.server)?;
    second.configure("", &scenario::relayed("[api]\nlisten = '127.0.0.1:8791'"))?;
    assert!(!second.launch_in_vain()?.success());
    assert!(second.log().contains("is in use by process"), "{}", second.log());
    let refusal = second.run(&["detach"]).expect_err("detached while a daemon runs").to_string();
    assert!(refusal.contains("(weir)"), "{refusal}");
    assert_eq!(fate()?, Some(Refusal::Silence));

    // A crash lets go of them.
    first.kill()?;
    second.run(&["detach"])?;
    assert!(!kernel::pins(&lab.server).exists());
    // The kernel detaches a moment after the last reference.
    assert!(holds(SOON, || matches!(fate(), Ok(None))));
    Ok(())
}
