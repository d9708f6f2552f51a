//! Records as a host of a company would make them: a dozen services, clients of a real country
//! database's prefixes, paths and clients by Zipf's law, a week with days and nights.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::Path,
};

use anyhow::{Context, Result};
use ipnet::IpNet;
use proxy_common::{
    address::{Address, FlowKey},
    country::{Country, CountrySet},
    flow::FlowId,
    reason::Reason,
};
use proxy_user::{
    geo::Database,
    record::{
        Accounted, AuthMethod, CloseReason, CounterId, Draft, Entry, HttpPart, HttpVersion, Ids,
        Location, Origin, Protocol, Source, Timestamp, TlsVersion, Verdict,
    },
};
use smol_str::{SmolStr, format_smolstr};
use uuid::Uuid;

use crate::dice::{Dice, Zipf};

const DAY_MS: i64 = 24 * 3600 * 1000;
/// Days that the records are spread over: what Weir keeps by default.
pub(crate) const DAYS: i64 = 7;
/// Clients that come again.
const CLIENTS: usize = 300_000;
/// Paths of an application.
const PATHS: usize = 3000;
const AGENTS: usize = 400;
const USERS: usize = 500;
/// Path of which there are few.
pub(crate) const RARE: &str = "quarterly-audit";
/// Path of which there are many.
pub(crate) const COMMON: &str = "items";

struct Service {
    name: &'static str,
    host: &'static str,
    protocol: Protocol,
    port: u16,
    target: &'static str,
    auth: AuthMethod,
}

const fn service(
    name: &'static str,
    host: &'static str,
    protocol: Protocol,
    port: u16,
    target: &'static str,
    auth: AuthMethod,
) -> Service {
    Service { name, host, protocol, port, target, auth }
}

use AuthMethod::{Header, None as Open, Oidc, Password};
use Protocol::{Http, Tcp, Tls, Udp};

/// The busiest first.
const SERVICES: [Service; 12] = [
    service("app", "app.example.com", Http, 443, "10.0.0.7:8080", Oidc),
    service("api", "api.example.com", Http, 443, "10.0.0.8:8443", Header),
    service("www", "www.example.com", Http, 443, "10.0.0.9:8080", Open),
    service("grafana", "grafana.example.com", Http, 443, "10.0.0.10:3000", Oidc),
    service("ssh", "ssh", Tcp, 22, "host", Open),
    service("files", "files.example.com", Http, 443, "10.0.0.11:8080", Password),
    service("dns", "dns", Udp, 53, "10.0.0.53:53", Open),
    service("db", "db.example.com", Tcp, 5432, "10.0.0.5:5432", Open),
    service("wiki", "wiki.example.com", Http, 443, "10.0.0.12:8080", Password),
    service("mail", "mail.example.com", Tls, 993, "10.0.0.13:993", Open),
    service("mqtt", "mqtt.example.com", Tcp, 8883, "10.0.0.14:8883", Open),
    service("git", "git.example.com", Http, 443, "10.0.0.15:3000", Oidc),
];

struct Client {
    address: IpAddr,
    location: Location,
}

/// Makes records, one after another in time.
pub(crate) struct Generator {
    dice: Dice,
    prefixes: Vec<(IpNet, Country)>,
    clients: Vec<Client>,
    by_client: Zipf,
    by_service: Zipf,
    paths: Vec<SmolStr>,
    by_path: Zipf,
    agents: Vec<SmolStr>,
    by_agent: Zipf,
    users: Vec<(SmolStr, SmolStr)>,
    /// As many as there are threads that serve.
    request_ids: [Ids; 2],
    /// When the next record is logged.
    now: f64,
    step_ms: f64,
    flows: u64,
}

impl Generator {
    /// One that makes `records` over the week that ends at `end`.
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of a week")]
    pub(crate) fn new(seed: u64, database: &Path, records: usize, end: Timestamp) -> Result<Self> {
        let database = Database::open(database).context("the country database")?;
        let mut everywhere = CountrySet::EMPTY;
        for country in (0..Country::COUNT).filter_map(Country::from_number) {
            everywhere.insert(country);
        }
        let prefixes = database.prefixes_of(&everywhere);
        let mut dice = Dice(seed);
        let clients = (0..CLIENTS).map(|_| client(&mut dice, &prefixes)).collect();
        let paths = (0..PATHS).map(|place| path(&mut dice, place)).collect();
        let agents = (0..AGENTS).map(|place| agent(&mut dice, place)).collect();
        let user = |place: usize| {
            let id = format_smolstr!("{:08x}-{:04x}", place * 7_919, place);
            (id, format_smolstr!("user{place}@example.com"))
        };
        Ok(Self {
            prefixes,
            clients,
            by_client: Zipf::new(CLIENTS, 1.05),
            by_service: Zipf::new(SERVICES.len(), 0.9),
            paths,
            by_path: Zipf::new(PATHS, 1.1),
            agents,
            by_agent: Zipf::new(AGENTS, 1.2),
            users: (0..USERS).map(user).collect(),
            request_ids: [Ids::after(None), Ids::after(None)],
            now: (end.0 - DAYS * DAY_MS) as f64,
            step_ms: (DAYS * DAY_MS) as f64 / records as f64,
            flows: 0,
            dice,
        })
    }

    #[expect(clippy::cast_possible_truncation, reason = "milliseconds since 1970")]
    fn tick(&mut self) -> Timestamp {
        // By night there is a third of the traffic of the day.
        let hour = (self.now / 3_600_000.0) % 24.0;
        let slow = 1.0 - 0.5 * ((hour - 3.0) / 24.0 * std::f64::consts::TAU).cos();
        self.now += self.step_ms * (0.5 + self.dice.unit()) / slow;
        Timestamp(self.now as i64)
    }

    pub(crate) fn next(&mut self) -> Entry {
        let timestamp = self.tick();
        if self.dice.percent(10) {
            return self.noise(timestamp);
        }
        let service = &SERVICES[self.by_service.rank(&mut self.dice)];
        let rank = self.by_client.rank(&mut self.dice);
        let Client { address, location } = &self.clients[rank];
        let (source, location) = (Source::Address(*address), location.clone());
        if service.protocol == Http {
            let draft = self.request(service, timestamp, rank);
            return Entry { draft: Draft { source, location, ..draft }, origin: Origin::Userspace };
        }
        let draft = self.connection(service, timestamp);
        let origin = Origin::Flow(self.flow(service.port, draft.source_port));
        Entry { draft: Draft { source, location, ..draft }, origin }
    }

    fn flow(&mut self, service_port: u16, client_port: u16) -> FlowId {
        self.flows += 1;
        let mut client = [0; 16];
        client[..8].copy_from_slice(&self.flows.to_be_bytes());
        let [client, service] = [Address::v6(client), Address::v6([0; 16])];
        let key = FlowKey { client, service, client_port, service_port, protocol: 6 };
        FlowId { key, started: self.flows }
    }

    fn blank(&mut self, service: &Service, timestamp: Timestamp, duration_ms: u64) -> Draft {
        Draft {
            service_id: service.name.into(),
            timestamp,
            started_at: Timestamp(timestamp.0.saturating_sub_unsigned(duration_ms)),
            duration_ms,
            protocol: service.protocol,
            verdict: Verdict::Allowed,
            host: service.host.into(),
            listen_port: service.port,
            bytes_upload: 0,
            bytes_download: 0,
            packets_upload: 0,
            packets_download: 0,
            source: Source::Many,
            source_port: 1024 + u16::try_from(self.dice.below(64_000)).unwrap_or(0),
            location: Location::default(),
            reason: None,
            observed_reason: None,
            close_reason: None,
            target: service.target.into(),
            tls_version: None,
            http: None,
            metadata: BTreeMap::new(),
        }
    }

    /// Who scans: mostly clients that never come again.
    fn noise(&mut self, timestamp: Timestamp) -> Entry {
        let service = &SERVICES[*self.dice.pick(&[4, 4, 4, 7, 10])];
        let Client { address, location } = client(&mut self.dice, &self.prefixes);
        let reason = *self.dice.pick(&[Reason::CountryRestricted, Reason::IpRestricted]);
        let counter = CounterId { epoch: 1, service: 4, reason: reason as u8, cpu: 0 };
        let accounted = vec![Accounted { counter, attempts: 1 }];
        let hook = [("hook", "tc"), ("interface", "eth0")];
        let draft = Draft {
            verdict: Verdict::Denied,
            reason: Some(reason),
            source: Source::Address(address),
            location,
            target: SmolStr::default(),
            metadata: hook.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            ..self.blank(service, timestamp, 0)
        };
        Entry { draft, origin: Origin::Denied { accounted, flows: Vec::new() } }
    }

    fn connection(&mut self, service: &Service, timestamp: Timestamp) -> Draft {
        let duration = self.dice.around(4000.0, 2.0);
        let [up, down] = [self.dice.around(3000.0, 2.0), self.dice.around(9000.0, 2.2)];
        let closes = [
            CloseReason::ClientClosed,
            CloseReason::ClientClosed,
            CloseReason::TargetClosed,
            CloseReason::IdleTimeout,
        ];
        let close_reason = Some(*self.dice.pick(&closes));
        Draft {
            bytes_upload: up,
            bytes_download: down,
            packets_upload: 4 + up / 1200,
            packets_download: 4 + down / 1400,
            close_reason,
            tls_version: (service.protocol == Tls).then_some(TlsVersion::Tls13),
            ..self.blank(service, timestamp, duration)
        }
    }

    fn request(&mut self, service: &Service, timestamp: Timestamp, client: usize) -> Draft {
        let duration = self.dice.around(18.0, 1.3);
        let place = self.by_path.rank(&mut self.dice);
        let path = self.path(place);
        let is_post = place % 7 == 3;
        let (status_code, verdict, reason) = self.outcome(service);
        let served = verdict == Verdict::Allowed;
        // A page is as large as it is, give or take.
        let usual = 400.0 * f64::from(u32::try_from(1 + place % 97).unwrap_or(1));
        let down = if served { self.dice.around(usual, 0.15) } else { 0 };
        let up = if is_post && served { self.dice.around(700.0, 0.8) } else { 0 };
        let (user_id, user_email) = match service.auth {
            Oidc => self.users[client % USERS].clone(),
            _ => (SmolStr::default(), SmolStr::default()),
        };
        let started_at = Timestamp(timestamp.0.saturating_sub_unsigned(duration));
        let thread = self.dice.below(2);
        let http = HttpPart {
            request_id: self.request_id(thread, started_at),
            method: if is_post { "POST" } else { "GET" }.into(),
            path,
            status_code,
            auth: service.auth,
            user_id,
            user_email,
            http_version: Some(if client.is_multiple_of(4) {
                HttpVersion::Http11
            } else {
                HttpVersion::Http2
            }),
            user_agent: self.agents[(self.by_agent.rank(&mut self.dice) + client) % AGENTS].clone(),
        };
        Draft {
            verdict,
            reason,
            bytes_upload: up,
            bytes_download: down,
            tls_version: Some(if client.is_multiple_of(23) {
                TlsVersion::Tls12
            } else {
                TlsVersion::Tls13
            }),
            http: Some(Box::new(http)),
            ..self.blank(service, timestamp, duration)
        }
    }

    /// The generator is faster than time: within a thread, ids rise with it all the same.
    fn request_id(&mut self, thread: usize, at: Timestamp) -> Uuid {
        self.request_ids[thread].next(at)
    }

    fn outcome(&mut self, service: &Service) -> (u16, Verdict, Option<Reason>) {
        let needs_login = service.auth != Open;
        match self.dice.below(200) {
            173..=180 => (304, Verdict::Allowed, None),
            181..=189 => (404, Verdict::Allowed, None),
            190..=191 => (403, Verdict::Denied, Some(Reason::CountryRestricted)),
            192..=195 if needs_login => (401, Verdict::Denied, Some(Reason::LoginRequired)),
            196 => (502, Verdict::Error, Some(Reason::BackendUnreachable)),
            197 => (504, Verdict::Error, Some(Reason::BackendTimeout)),
            198 => (499, Verdict::Error, Some(Reason::ClientAborted)),
            _ => (200, Verdict::Allowed, None),
        }
    }

    fn path(&mut self, place: usize) -> SmolStr {
        let base = &self.paths[place];
        if self.dice.below(500_000) == 0 {
            return format_smolstr!("/reports/{RARE}/{}", self.dice.below(90));
        }
        match self.dice.below(100) {
            // Each item has a page.
            0..=11 => format_smolstr!("{base}/{}", self.dice.below(200_000)),
            _ => base.clone(),
        }
    }
}

fn client(dice: &mut Dice, prefixes: &[(IpNet, Country)]) -> Client {
    let (prefix, country) = dice.pick(prefixes);
    let mix = u128::from(dice.next()) << 64 | u128::from(dice.next());
    let address = match prefix {
        IpNet::V4(net) => {
            let host = u32::try_from(mix & u128::from(!u32::from(net.netmask()))).unwrap_or(0);
            Ipv4Addr::from_bits(net.network().to_bits() | host).into()
        }
        IpNet::V6(net) => {
            // A network of a provider has few hosts in each of its /64.
            let host = mix & !net.netmask().to_bits() & !0xffff_0000_0000_0000;
            Ipv6Addr::from_bits(net.network().to_bits() | host).into()
        }
    };
    let city = (mix % 60 < 40).then(|| format_smolstr!("{country}-city-{}", mix % 40));
    let subdivision = city.as_ref().map(|_| format_smolstr!("{}", mix % 16));
    let location = Location {
        country: Some(*country),
        city: city.unwrap_or_default(),
        subdivision: subdivision.unwrap_or_default(),
    };
    Client { address, location }
}

fn path(dice: &mut Dice, place: usize) -> SmolStr {
    const FIRST: [&str; 9] =
        ["api/v1", "api/v2", "static", "assets/js", "assets/css", "img", "app", "admin", "docs"];
    const SECOND: [&str; 12] = [
        "orders",
        "users",
        "invoices",
        "search",
        "session",
        "dashboard",
        "metrics",
        "reports",
        "items",
        "events",
        "products",
        "settings",
    ];
    const LAST: [&str; 8] =
        ["list", "detail", "edit", "main.js", "site.css", "logo.svg", "", "export"];
    let (first, second, last) = (dice.pick(&FIRST), dice.pick(&SECOND), dice.pick(&LAST));
    format_smolstr!("/{first}/{second}/{last}{place:x}")
}

fn agent(dice: &mut Dice, place: usize) -> SmolStr {
    let system = dice.pick(&[
        "Windows NT 10.0; Win64; x64",
        "X11; Linux x86_64",
        "Macintosh; Intel Mac OS X 10_15_7",
        "Linux; Android 14; K",
        "iPhone; CPU iPhone OS 18_1 like Mac OS X",
    ]);
    let major = 100 + place % 57;
    format_smolstr!(
        "Mozilla/5.0 ({system}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{major}.0.{}.0 Safari/537.36",
        dice.below(9000)
    )
}
