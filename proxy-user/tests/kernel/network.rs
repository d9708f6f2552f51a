//! The host's network, as it is followed.

use std::{fmt::Write, process::Command, time::Duration};

use ipnet::IpNet;
use proxy_user::datapath::follow;
use weir_tests::ns::{Namespace, run};

use crate::harness::Result;

/// More than a netlink socket's buffer holds messages.
const BURST: u32 = 4000;

#[test]
fn a_burst_that_overruns_the_socket_loses_no_address() -> Result {
    let namespace = Namespace::create("host")?;
    let file = tempfile::NamedTempFile::new()?;
    let address = |n: u32| std::net::Ipv4Addr::from(0x0a00_0000 + n);
    let mut batch = String::new();
    for n in 1..=BURST {
        writeln!(batch, "route add local {} dev lo", address(n))?;
    }
    std::fs::write(file.path(), batch)?;
    let last: IpNet = format!("{}/32", address(BURST)).parse()?;

    let followed = namespace.within(|| -> std::result::Result<bool, String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.map_err(|error| error.to_string())?.block_on(async {
            let mut network = follow().await.map_err(|error| error.to_string())?;
            // The runtime's only thread waits for this: nobody reads meanwhile.
            run(Command::new("ip").arg("-batch").arg(file.path())).map_err(|e| e.to_string())?;
            let told = network.wait_for(|network| network.locals.contains(&last));
            Ok(tokio::time::timeout(Duration::from_secs(20), told).await.is_ok())
        })
    })??;
    assert!(followed);
    Ok(())
}
