//! Writes small country databases in MaxMind's format, version 2.0
//! (<https://maxmind.github.io/MaxMind-DB/>), as tests, demo and quick start need.

use std::net::IpAddr;

use ipnet::IpNet;

/// How a database says where a prefix is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schema {
    /// `country.iso_code`, city and subdivision, as GeoLite2 City.
    City,
    /// `country.iso_code`, as GeoLite2 Country.
    Country,
    /// `country_code` at the top, as ip-location-db.
    Flat,
    /// No country at all, as an ASN database.
    Asn,
}

/// Where a prefix is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Place {
    /// ISO code; `None`: the record has none.
    pub country: Option<&'static str>,
    /// Where the prefix is registered, which is not where it is.
    pub registered: Option<&'static str>,
    /// English name.
    pub city: Option<&'static str>,
    /// ISO code.
    pub subdivision: Option<&'static str>,
}

impl Place {
    /// In a country, nothing else known.
    pub const fn country(code: &'static str) -> Self {
        Self { country: Some(code), registered: None, city: None, subdivision: None }
    }
}

/// A whole database. Of nested prefixes the longest holds; IPv4 lies at `::/96`
/// and is reachable under `::ffff:0:0/96` and `2002::/16`, as in real ones.
pub fn build(schema: Schema, places: &[(IpNet, Place)], build_epoch: u64) -> Vec<u8> {
    let mut data = Vec::new();
    let mut tree = Tree { nodes: vec![[Link::Empty; 2]] };
    let mut sorted = places.to_vec();
    sorted.sort_by_key(|(net, _)| depth(net));
    for (net, place) in sorted {
        let at = data.len();
        encode(&mut data, &value(schema, &place));
        tree.insert(bits(net.network()), depth(&net), Link::Data(at));
    }
    tree.alias();
    let mut bytes = tree.bytes();
    bytes.extend([0; 16]);
    bytes.extend(data);
    bytes.extend(b"\xab\xcd\xefMaxMind.com");
    encode(&mut bytes, &metadata(schema, tree.nodes.len(), build_epoch));
    bytes
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u32::from(v4).into(),
        IpAddr::V6(v6) => v6.into(),
    }
}

fn depth(net: &IpNet) -> u8 {
    if matches!(net, IpNet::V4(_)) { 96 + net.prefix_len() } else { net.prefix_len() }
}

#[derive(Clone, Copy)]
enum Link {
    Empty,
    Node(usize),
    Data(usize),
}

struct Tree {
    nodes: Vec<[Link; 2]>,
}

impl Tree {
    fn insert(&mut self, address: u128, depth: u8, link: Link) {
        let side = |level: u8| usize::from(address >> (127 - level) & 1 == 1);
        let mut node = 0;
        for level in 0..depth.saturating_sub(1) {
            node = match self.nodes[node][side(level)] {
                Link::Node(next) => next,
                // What a shorter prefix says holds on both sides of the split.
                other => {
                    self.nodes.push([other; 2]);
                    let next = self.nodes.len() - 1;
                    self.nodes[node][side(level)] = Link::Node(next);
                    next
                }
            };
        }
        match depth {
            0 => self.nodes[0] = [link; 2],
            _ => self.nodes[node][side(depth - 1)] = link,
        }
    }

    fn alias(&mut self) {
        let mut node = 0;
        for _ in 0..96 {
            let Link::Node(next) = self.nodes[node][0] else { return };
            node = next;
        }
        self.insert(0xffff << 32, 96, Link::Node(node));
        self.insert(0x2002 << 112, 16, Link::Node(node));
    }

    /// Two 32-bit records for each node.
    fn bytes(&self) -> Vec<u8> {
        let count = self.nodes.len();
        let record = |link: &Link| match link {
            Link::Empty => count,
            Link::Node(index) => *index,
            Link::Data(offset) => count + 16 + offset,
        };
        let records = self.nodes.iter().flatten().map(record);
        records.flat_map(|record| u32::try_from(record).expect("small").to_be_bytes()).collect()
    }
}

enum Value {
    Text(String),
    Number(u8, u64),
    Map(Vec<(&'static str, Value)>),
    Array(Vec<Value>),
}

fn text(value: &str) -> Value {
    Value::Text(value.to_owned())
}

fn value(schema: Schema, place: &Place) -> Value {
    let mut map = Vec::new();
    let iso = |code: &str| Value::Map(vec![("iso_code", text(code))]);
    match schema {
        Schema::Asn => map.push(("autonomous_system_number", Value::Number(UINT32, 64_496))),
        Schema::Flat => map.extend(place.country.map(|code| ("country_code", text(code)))),
        Schema::City | Schema::Country => {
            map.extend(place.country.map(|code| ("country", iso(code))));
            map.extend(place.registered.map(|code| ("registered_country", iso(code))));
        }
    }
    if schema == Schema::City {
        let name = |city| Value::Map(vec![("names", Value::Map(vec![("en", text(city))]))]);
        map.extend(place.city.map(|city| ("city", name(city))));
        map.extend(place.subdivision.map(|code| ("subdivisions", Value::Array(vec![iso(code)]))));
    }
    Value::Map(map)
}

fn metadata(schema: Schema, nodes: usize, build_epoch: u64) -> Value {
    Value::Map(vec![
        ("binary_format_major_version", Value::Number(UINT16, 2)),
        ("binary_format_minor_version", Value::Number(UINT16, 0)),
        ("build_epoch", Value::Number(UINT64, build_epoch)),
        ("database_type", text(&format!("Weir-Test-{schema:?}"))),
        ("description", Value::Map(description(schema))),
        ("ip_version", Value::Number(UINT16, 6)),
        ("languages", Value::Array(vec![text("en")])),
        ("node_count", Value::Number(UINT32, nodes as u64)),
        ("record_size", Value::Number(UINT16, 32)),
    ])
}

/// Types of the data section.
const UTF8: u8 = 2;
const UINT16: u8 = 5;
const UINT32: u8 = 6;
const MAP: u8 = 7;
const UINT64: u8 = 9;
const ARRAY: u8 = 11;

fn encode(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Text(text) => {
            control(out, UTF8, text.len());
            out.extend(text.bytes());
        }
        Value::Number(kind, number) => {
            let bytes = number.to_be_bytes();
            let bytes = &bytes[bytes.iter().take_while(|byte| **byte == 0).count()..];
            control(out, *kind, bytes.len());
            out.extend(bytes);
        }
        Value::Map(entries) => {
            control(out, MAP, entries.len());
            for (key, value) in entries {
                encode(out, &text(key));
                encode(out, value);
            }
        }
        Value::Array(items) => {
            control(out, ARRAY, items.len());
            for item in items {
                encode(out, item);
            }
        }
    }
}

fn control(out: &mut Vec<u8>, kind: u8, size: usize) {
    let size = u8::try_from(size).ok().filter(|size| *size < 29).expect("short values only");
    if kind > 7 {
        out.extend([size, kind - 7]);
    } else {
        out.push(kind << 5 | size);
    }
}

/// Those of ip-location-db have none.
fn description(schema: Schema) -> Vec<(&'static str, Value)> {
    match schema {
        Schema::Flat => Vec::new(),
        _ => vec![("en", text("made by Weir's tests"))],
    }
}
