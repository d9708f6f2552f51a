//! The verdict's cost in nanoseconds a packet, net of an empty program.
//!
//! `BPF_PROG_TEST_RUN` repeats an XDP program on one buffer; the programs write the
//! next of 2^32 sources into it each time. Rounds of both programs alternate, so
//! that a machine that slows down slows both. Prints one JSON object a case.

use std::{env, error::Error, fs, time::Duration};

use aya::programs::{TestRun, TestRunOptions};
use ipnet::Ipv4Net;
use proxy_common::{
    country::{Country, CountrySet},
    policy::{CidrFlags, Rules},
};
use proxy_user::{
    config::{Listen, ListenAddress},
    datapath::{CountryTable, Generation, Maps, Programs, ServiceEntry, load_xdp},
};

const PACKETS: u32 = 100_000;
const ROUNDS: usize = 15;
const PROGRAMS: [&str; 2] = ["weir_bench_verdict", "weir_bench_empty"];

fn main() -> Result<(), Box<dyn Error>> {
    let path = env::var_os("WEIR_BENCH_OBJECT")
        .ok_or("WEIR_BENCH_OBJECT: `cargo xtask bench verdict` sets it")?;
    // The loader wants 8-byte alignment, which Vec gives at this size.
    let object = fs::read(path)?;
    for prefixes in [10, 1_000, 100_000] {
        for countries in [false, true] {
            case(&object, prefixes, countries)?;
        }
    }
    Ok(())
}

fn case(object: &[u8], prefixes: u32, countries: bool) -> Result<(), Box<dyn Error>> {
    let (mut programs, mut maps) = load_xdp(object, &PROGRAMS)?;
    maps.tables.set_locals(&["192.0.2.1/32".parse()?])?;
    maps.tables.install(&generation(prefixes, countries)?)?;
    let mut figures: [Vec<u64>; 2] = Default::default();
    for _ in 0..ROUNDS {
        for (program, figures) in PROGRAMS.into_iter().zip(&mut figures) {
            figures.push(round(&mut programs, program)?);
        }
        drain(&mut maps);
    }
    let [verdict, empty] = figures.map(|mut rounds| {
        rounds.sort_unstable();
        (rounds[ROUNDS / 2], rounds[0], rounds[ROUNDS - 1])
    });
    println!(
        "{{\"bench\":\"verdict\",\"cidrs\":{prefixes},\"countries\":{countries},\
         \"net_ns\":{},\"verdict_ns\":{{\"median\":{},\"min\":{},\"max\":{}}},\
         \"empty_ns\":{{\"median\":{},\"min\":{},\"max\":{}}},\"rounds\":{ROUNDS},\"packets\":{PACKETS}}}",
        verdict.0.saturating_sub(empty.0),
        verdict.0,
        verdict.1,
        verdict.2,
        empty.0,
        empty.1,
        empty.2,
    );
    Ok(())
}

fn round(programs: &mut Programs, program: &'static str) -> Result<u64, Box<dyn Error>> {
    let frame = frame();
    let mut options = TestRunOptions::new();
    options.data_in = Some(&frame);
    options.repeat = PACKETS;
    let took: Duration = programs.xdp(program)?.test_run(options)?.duration;
    Ok(u64::try_from(took.as_nanos())?)
}

fn drain(maps: &mut Maps) {
    while maps.events.take().is_some() {}
}

/// An allow list that holds every source, so that none is denied, over as many
/// blocked prefixes as the case wants; with countries, all of the IPv4 space in
/// /16s of changing countries, all of them allowed.
fn generation(prefixes: u32, countries: bool) -> Result<Generation, Box<dyn Error>> {
    let mut rules = Rules { cidrs: 1, flags: Rules::ALLOWED_CIDRS, ..Rules::OPEN };
    let mut cidrs = vec![(1, "0.0.0.0/0".parse()?, CidrFlags::ALLOWED)];
    for index in 1..prefixes {
        // Spread by Knuth's multiplicative hash; /24s and /28s alternate.
        let length = if index % 2 == 0 { 24 } else { 28 };
        let net = Ipv4Net::new(index.wrapping_mul(2_654_435_761).into(), length)?.trunc();
        cidrs.push((1, net.into(), CidrFlags::ALLOWED));
    }
    let table = countries.then(|| every_country(&mut rules)).transpose()?;
    Ok(Generation {
        global: Rules::OPEN,
        services: vec![ServiceEntry {
            name: "bench".to_owned(),
            rules,
            listen: vec![Listen { address: ListenAddress::Any, port: 22 }],
            relayed: false,
            reset: false,
        }],
        cidrs,
        countries: table,
    })
}

fn every_country(rules: &mut Rules) -> Result<CountryTable, Box<dyn Error>> {
    rules.flags |= Rules::ALLOWED_COUNTRIES;
    rules.countries = 2;
    let mut all = CountrySet::EMPTY;
    let mut prefixes = Vec::new();
    for index in 0..=u32::from(u16::MAX) {
        let number = u16::try_from(index % u32::from(Country::COUNT))?;
        let country = Country::from_number(number).ok_or("no such country")?;
        all.insert(country);
        prefixes.push((Ipv4Net::new((index << 16).into(), 16)?.into(), country));
    }
    rules.allowed_countries = all;
    Ok(CountryTable { id: 2, prefixes: prefixes.into() })
}

/// A SYN to 192.0.2.1, port 22.
fn frame() -> Vec<u8> {
    let mut frame = vec![0; 12];
    frame.extend([
        0x08, 0x00, 0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0, 203, 0, 113, 9, 192, 0, 2, 1,
    ]);
    frame.extend([0x9c, 0x40, 0, 22, 0, 0, 0, 7, 0, 0, 0, 0, 5 << 4, 2, 0xff, 0xff, 0, 0, 0, 0]);
    frame
}
