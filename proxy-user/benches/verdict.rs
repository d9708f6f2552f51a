//! The verdict's cost in nanoseconds a packet, net of an empty program.
//!
//! `BPF_PROG_TEST_RUN` repeats an XDP program on one buffer; the programs write the
//! next of 2^32 sources into it each time. Rounds of both programs alternate, so
//! that a machine that slows down slows both. Prints one JSON object a case.

use std::{collections::HashSet, env, error::Error, fs, path::Path, sync::Arc, time::Duration};

use aya::programs::{TestRun, TestRunOptions};
use ipnet::{IpNet, Ipv4Net};
use proxy_common::{
    address::PROTOCOL_TCP,
    country::{Country, CountrySet},
    policy::{CidrFlags, Rules},
};
use proxy_user::{
    config::{Listen, ListenAddress},
    datapath::{CountryTable, Generation, Maps, Programs, ServiceEntry, load_other},
    geo::Database,
};

const PACKETS: u32 = 100_000;
const ROUNDS: usize = 15;
const PROGRAMS: [&str; 2] = ["weir_bench_verdict", "weir_bench_empty"];

fn main() -> Result<(), Box<dyn Error>> {
    let path = env::var_os("WEIR_BENCH_OBJECT")
        .ok_or("WEIR_BENCH_OBJECT: `cargo xtask bench verdict` sets it")?;
    // The loader wants 8-byte alignment, which Vec gives at this size.
    let object = fs::read(path)?;
    let database = env::var_os("WEIR_BENCH_DATABASE")
        .ok_or("WEIR_BENCH_DATABASE: `cargo xtask bench verdict` sets it")?;
    let countries = Countries::read(Path::new(&database))?;
    for prefixes in [10, 1_000, 100_000] {
        for countries in [None, Some(&countries)] {
            case(&object, prefixes, countries)?;
        }
    }
    Ok(())
}

fn case(object: &[u8], prefixes: u32, countries: Option<&Countries>) -> Result<(), Box<dyn Error>> {
    let (mut programs, mut maps) = load_other(object)?;
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
        "{{\"bench\":\"verdict\",\"cidrs\":{prefixes},\"countries\":{},\
         \"net_ns\":{},\"verdict_ns\":{{\"median\":{},\"min\":{},\"max\":{}}},\
         \"empty_ns\":{{\"median\":{},\"min\":{},\"max\":{}}},\"rounds\":{ROUNDS},\"packets\":{PACKETS}}}",
        countries.map_or(0, |countries| countries.prefixes.len()),
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
/// prefixes as the case wants; with countries, all of the database's, of which a
/// block list names one that it does not have.
fn generation(prefixes: u32, countries: Option<&Countries>) -> Result<Generation, Box<dyn Error>> {
    let mut rules = Rules { cidrs: 1, flags: Rules::ALLOWED_CIDRS, ..Rules::OPEN };
    let mut cidrs = vec![(1, "0.0.0.0/0".parse()?, CidrFlags::ALLOWED)];
    for index in 1..prefixes {
        // Spread by Knuth's multiplicative hash; /24s and /28s alternate.
        let length = if index % 2 == 0 { 24 } else { 28 };
        let net = Ipv4Net::new(index.wrapping_mul(2_654_435_761).into(), length)?.trunc();
        cidrs.push((1, net.into(), CidrFlags::ALLOWED));
    }
    let table = countries.map(|countries| {
        rules.flags |= Rules::BLOCKED_COUNTRIES;
        rules.countries = 2;
        rules.blocked_countries.insert(countries.absent);
        CountryTable { id: 2, prefixes: countries.prefixes.clone() }
    });
    Ok(Generation {
        global: Rules::OPEN,
        services: vec![ServiceEntry {
            name: "bench".to_owned(),
            transport: PROTOCOL_TCP,
            rules,
            listen: vec![Listen { address: ListenAddress::Any, port: 22 }],
            relayed: false,
            by_request: false,
            reset: false,
            forward: None,
        }],
        cidrs,
        countries: table,
    })
}

/// Every prefix of a real database.
struct Countries {
    prefixes: Arc<[(IpNet, Country)]>,
    absent: Country,
}

impl Countries {
    fn read(path: &Path) -> Result<Self, Box<dyn Error>> {
        let every = || (0..Country::COUNT).filter_map(Country::from_number);
        let mut all = CountrySet::EMPTY;
        every().for_each(|country| all.insert(country));
        let prefixes: Arc<[_]> = Database::open(path)?.prefixes_of(&all).into();
        let present: HashSet<Country> = prefixes.iter().map(|(_, country)| *country).collect();
        let absent = every().find(|country| !present.contains(country));
        Ok(Self { prefixes, absent: absent.ok_or("a database with every code")? })
    }
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
