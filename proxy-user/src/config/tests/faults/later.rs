//! What later versions bring: refused by name, never left out.

use super::Faulty;

/// A line of a service that is as it should be otherwise, and the key in it.
macro_rules! of_service {
    ($line:literal, $key:literal) => {
        (
            concat!("[service.a]\nmode = \"tcp\"\nlisten = 80\ntarget = \"10.0.0.7:80\"\n", $line),
            &[concat!("5:1: \"", $key, "\" in [service.a] is not supported yet")],
        )
    };
}

pub(super) const FAULTS: &[Faulty] = &[
    // Tables.
    ("[kernel]\nnat_ports = \"1-2\"", &["2:1: \"nat_ports\" in [kernel] is not supported yet"]),
    ("[kernel]\nnat_addresses = []", &["2:1: \"nat_addresses\" in [kernel] is not supported yet"]),
    ("[api]\ntls = true", &["2:1: \"tls\" in [api] is not supported yet"]),
    ("[api.tls]\ncert = \"/a\"", &["1:1: tls takes true or false, not a table"]),
    // Keys of services.
    of_service!("forward = \"auto\"", "forward"),
    of_service!("source = \"proxy\"", "source"),
];
