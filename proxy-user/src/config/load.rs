//! Validates a configuration, and tells all that is wrong in it.

use std::path::{Path, PathBuf};

use super::{
    AccessMode, Config, Fault, Faults, Geoip, GlobalAccess, Service, Web,
    access::global,
    api::api,
    certificates,
    encryption::{http, tls},
    fault::{At, Report, Spot},
    fields::Fields,
    ports, read, redirects,
    schema::{API, GEOIP, GLOBAL_ACCESS, HTTP, KERNEL, LOG, ROOT, Schema, TLS},
    sections::{geoip, kernel, log},
    service::{Placed, services},
    sink::sinks,
    sso::providers,
    tree::Table,
    web::Shared,
};

/// A valid configuration.
#[derive(Debug)]
pub struct Loaded {
    /// It.
    pub config: Config,
    /// What is valid and yet perhaps not meant.
    pub warnings: Vec<Fault>,
    /// Every file that was read.
    pub files: Vec<PathBuf>,
    /// Where things stand, for what is found out later.
    pub(super) places: Places,
}

/// Where the parts of a configuration stand that are compared with the host.
#[derive(Debug)]
pub(super) struct Places {
    /// Of each service, in their order.
    pub(super) services: Vec<ServicePlaces>,
    pub(super) api: Spot,
    /// Of each entry of `kernel.hook`, in their order.
    pub(super) hooks: Vec<Spot>,
}

/// Where the parts of a service stand.
#[derive(Debug)]
pub(super) struct ServicePlaces {
    pub(super) listen: Vec<Spot>,
    pub(super) targets: Vec<Spot>,
    pub(super) redirect: Spot,
    /// Hashes of secrets.
    pub(super) hashes: Vec<Spot>,
}

/// Reads and validates a configuration with everything that it includes.
///
/// # Errors
/// Every fault that there is, not the first only.
pub fn load(path: &Path) -> Result<Loaded, Faults> {
    let mut report = Report::default();
    let (root, digest) = read::read(path, &mut report);
    let (config, places) = validate(&root, digest, &mut report);
    let files = report.sources.iter().map(|source| source.path.clone()).collect();
    match report.finish() {
        (faults, warnings) if faults.is_empty() => Ok(Loaded { config, warnings, files, places }),
        (faults, _) => Err(Faults(faults)),
    }
}

fn validate(root: &Table, digest: [u8; 32], report: &mut Report) -> (Config, Places) {
    let start = At { file: 0, offset: 0 };
    let empty = Table::default();
    let mut top = Fields::new(root, start, (&ROOT, ""), report);
    let data_dir = top.path("data_dir").unwrap_or_else(|| "/var/lib/weir".into());
    let runtime_dir = top.path("runtime_dir").unwrap_or_else(|| "/run/weir".into());
    let mut section = |key: &str| top.table(key);
    let kernel_at = section("kernel").unwrap_or((&empty, start));
    let geoip_at = section("geoip");
    let global_at = section("global_access").unwrap_or((&empty, start));
    let log_at = section("log").unwrap_or((&empty, start));
    let api_at = section("api").unwrap_or((&empty, start));
    let http_at = section("http").unwrap_or((&empty, start));
    let tls_at = section("tls").unwrap_or((&empty, start));
    let sso_at = section("sso").unwrap_or((&empty, start));
    let services_at = section("service").unwrap_or((&empty, start));
    let sinks = top.node("sink").map(|node| sinks(node, top.report)).unwrap_or_default();

    let (kernel, hooks) = kernel(&mut named(kernel_at, &KERNEL, report));
    let geoip = geoip_at.map(|at| geoip(&mut named(at, &GEOIP, report)));
    let (global, denial) = global(&mut named(global_at, &GLOBAL_ACCESS, report));
    let log = log(&mut named(log_at, &LOG, report));
    let (api, api_at) = api(&mut named(api_at, &API, report));
    let http = http(&mut named(http_at, &HTTP, report));
    let (tls, cert_dir) = tls(&mut named(tls_at, &TLS, report), &data_dir);
    let providers = providers(sso_at.0, report);
    let shared = Shared { http: &http, providers: &providers };
    let services = services(services_at.0, denial, &shared, report);
    ports::conflicts(&services, (&api, api_at), report);
    ports::loops(&services, &api, report);
    redirects::warn(&services, (&api, api_at), report);
    certificates::check(&services, &tls, cert_dir, report);
    warn_of_open(&services, &global, report);
    let places = Places {
        services: services.iter().map(|placed| places(placed, report)).collect(),
        api: report.spot(api_at),
        hooks: hooks.into_iter().map(|at| report.spot(at)).collect(),
    };
    let services: Vec<_> = services.into_iter().map(|placed| placed.service).collect();
    let config = Config {
        data_dir,
        runtime_dir,
        kernel,
        geoip: geoip.or_else(|| asks_country(&global, &services).then(Geoip::default)),
        global,
        log,
        api,
        sinks,
        http,
        tls: tls.into(),
        services,
        digest,
    };
    (config, places)
}

fn named<'a, 'r>(
    (table, at): (&'a Table, At),
    schema: &'static Schema,
    report: &'r mut Report,
) -> Fields<'a, 'r> {
    Fields::new(table, at, (schema, schema.name), report)
}

fn places(placed: &Placed, report: &Report) -> ServicePlaces {
    ServicePlaces {
        listen: placed.listen.iter().map(|(_, at)| report.spot(*at)).collect(),
        targets: placed.targets.iter().map(|at| report.spot(*at)).collect(),
        redirect: report.spot(placed.redirect),
        hashes: placed.hashes.iter().map(|at| report.spot(*at)).collect(),
    }
}

/// Whether a rule needs a database.
fn asks_country(global: &GlobalAccess, services: &[std::sync::Arc<Service>]) -> bool {
    global.access.asks_country() || services.iter().any(|service| service.access.asks_country())
}

fn warn_of_open(services: &[Placed], global: &GlobalAccess, report: &mut Report) {
    for placed in services {
        let layers = [&global.access, &placed.service.access];
        if layers.iter().any(|layer| layer.restricts() && layer.mode == AccessMode::Enforce)
            || placed.service.web().is_some_and(asks_who)
        {
            continue;
        }
        let observed = layers.iter().any(|layer| layer.restricts());
        let why =
            if observed { "its restrictions are only observed" } else { "it has no restrictions" };
        let why = match placed.service.web() {
            Some(web) if web.auth.is_some() => format!("{why}, and all of its routes are public"),
            Some(_) => format!("{why}, and no authentication"),
            None => why.to_owned(),
        };
        let message = format!("service {} is open to all: {why}", placed.service.name);
        report.warn(placed.at, message);
    }
}

/// Whether users have to sign in, but for routes that are said to be public.
fn asks_who(web: &Web) -> bool {
    web.auth.is_some() && web.routes.iter().any(|route| !route.public)
}
