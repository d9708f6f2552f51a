//! What packets cost in the kernel, in nanoseconds each, net of an empty program in the same
//! place; and how long a policy takes to come in force. Prints one JSON object a figure.

#[path = "../tests/kernel/frames.rs"]
#[allow(dead_code, reason = "the tests need more of it")]
mod frames;
#[path = "verdict/kernel.rs"]
mod kernel;
#[path = "verdict/policies.rs"]
mod policies;

use std::{env, error::Error, fs, path::Path, time::Instant};

use proxy_common::packet::Segment;
use proxy_user::geo::Database;
use serde_json::{Value, json};

use crate::{
    frames::syn,
    kernel::{Client, Kernel, PACKETS, TC, XDP},
    policies::{Family, Places, allowing_nobody, generation, telling},
};

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

/// As many clients as the fast caches have room for, and more; as exponents of two.
const FEW: u32 = 10;
const MANY: u32 = 15;

fn main() -> Result {
    let place = |name: &str| {
        env::var_os(name).ok_or(format!("{name}: `cargo xtask bench verdict` sets it"))
    };
    // The loader wants 8-byte alignment, which Vec gives at this size.
    let object = fs::read(place("WEIR_BENCH_OBJECT")?)?;
    let database = place("WEIR_BENCH_DATABASE")?;
    known(&object)?;
    denied(&object)?;
    let began = Instant::now();
    let opened = Database::open(Path::new(&database))?;
    let opening = began.elapsed();
    let began = Instant::now();
    let places = Places::read(&opened);
    let reading = began.elapsed();
    let of = json!({ "open_ms": opening.as_millis(), "prefixes_ms": reading.as_millis() });
    sizes(&object, &places, &of)
}

/// Packets of established flows.
fn known(object: &[u8]) -> Result {
    let mut kernel = Kernel::new(object)?;
    kernel.install(&generation(Family::V4, 10, None)?)?;
    for clients in [FEW, MANY] {
        let client = Client::v4(&syn("10.0.0.7", "192.0.2.1"), clients);
        kernel.open(&client)?;
        let data = client.sends(&client.frame.segment(Segment::ACK, 8, 101, 40));
        let figure = kernel.warm(&TC, &data, PACKETS)?;
        let cold = kernel.cold(&TC, &data)?;
        say(&json!({
            "figure": "established", "hook": "tc", "flows": 1 << clients, "warm": figure, "cold": cold,
        }));
    }
    Ok(())
}

/// Packets of clients that are denied, with few prefixes.
fn denied(object: &[u8]) -> Result {
    let mut kernel = Kernel::new(object)?;
    kernel.install(&allowing_nobody()?)?;
    let v4 = syn("10.0.0.7", "192.0.2.1");
    let v6 = syn("2001:db8:1::7", "2001:db8::1");
    for hook in [&TC, &XDP] {
        let again = Client::v4(&v4, FEW);
        // Each attempt once, so that all are known.
        kernel.run(hook.judges, &again, 1 << FEW)?;
        for (kind, client) in
            [("repeat", again), ("new", Client::v4(&v4, 32)), ("new", Client::v6(&v6))]
        {
            let figure = kernel.warm(hook, &client, PACKETS)?;
            let cold = kernel.cold(hook, &client)?;
            let family = if client.frame.from.is_ipv4() { 4 } else { 6 };
            say(&json!({
                "figure": kind, "hook": hook.name, "family": family, "warm": figure, "cold": cold,
            }));
        }
    }
    Ok(())
}

/// Verdicts by tables of every size, and how long these take to come in force.
fn sizes(object: &[u8], places: &Places, read: &Value) -> Result {
    let clients = [
        (Family::V4, Client::v4(&syn("10.0.0.7", "192.0.2.1"), 32)),
        (Family::V6, Client::v6(&syn("2001:db8:1::7", "2001:db8::1"))),
    ];
    for (family, client) in clients {
        for prefixes in [10, 1_000, 100_000, 1_000_000] {
            for everywhere in [None, Some(places)] {
                let mut kernel = Kernel::new(object)?;
                let input = telling(family, prefixes, everywhere)?;
                let began = Instant::now();
                let generation = input.compiled()?;
                let compiling = began.elapsed();
                let began = Instant::now();
                kernel.install(&generation)?;
                let installing = began.elapsed();
                let figure = kernel.warm(&XDP, &client, PACKETS)?;
                let cold = kernel.cold(&XDP, &client)?;
                let size = generation.classes.size();
                say(&json!({
                    "figure": "verdict", "hook": "xdp", "family": family.number(), "cidrs": prefixes,
                    "countries": everywhere.map_or(0, Places::count), "warm": figure, "cold": cold,
                    "ranges_v4": size.ranges4, "ranges_v6": size.ranges6,
                    "classes": size.classes, "bytes": size.bytes,
                    "compile_ms": compiling.as_millis(), "install_ms": installing.as_millis(),
                    "database": everywhere.map(|_| read),
                }));
            }
        }
    }
    Ok(())
}

fn say(figure: &Value) {
    println!("{figure}");
}
