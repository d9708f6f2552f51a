//! Reads a configuration: the file, what it includes, and all that is wrong in them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use super::{
    Config, Fault, Faults, GlobalAccess,
    access::global,
    api::{api, sinks},
    fault::{At, Report, Source, Spot},
    fields::Fields,
    ports,
    schema::{API, GEOIP, GLOBAL_ACCESS, KERNEL, LOG, ROOT, Schema},
    sections::{geoip, kernel, log},
    service::{Placed, services},
    tree::{Table, parse},
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
    /// Where each `listen` of each service stands, for what is found out later.
    pub(super) listens: Vec<Vec<Spot>>,
}

/// Reads and validates a configuration with everything that it includes.
///
/// # Errors
/// Every fault that there is, not the first only.
pub fn load(path: &Path) -> Result<Loaded, Faults> {
    let mut report = Report::default();
    let mut digest = Sha256::new();
    let root = read(path, &mut digest, &mut report).map(|mut root| {
        include(&mut root, path, &mut digest, &mut report);
        root
    });
    let (config, listens) =
        validate(&root.unwrap_or_default(), digest.finalize().into(), &mut report);
    let listens =
        listens.iter().map(|ats| ats.iter().map(|at| report.spot(*at)).collect()).collect();
    let files = report.sources.iter().map(|source| source.path.clone()).collect();
    match report.finish() {
        (faults, warnings) if faults.is_empty() => Ok(Loaded { config, warnings, files, listens }),
        (faults, _) => Err(Faults(faults)),
    }
}

/// Reads one file; a file that cannot be read is a fault at its beginning.
fn read(path: &Path, digest: &mut Sha256, report: &mut Report) -> Option<Table> {
    let file = report.sources.len();
    let read = fs::read(path).map_err(|error| error.to_string()).and_then(|bytes| {
        digest.update(&bytes);
        String::from_utf8(bytes).map_err(|error| format!("is not UTF-8: {error}"))
    });
    let (text, failure) = match read {
        Ok(text) => (text, None),
        Err(why) => (String::new(), Some(why)),
    };
    report.sources.push(Source { path: path.to_owned(), text: text.clone() });
    if let Some(why) = failure {
        report.fault(At { file, offset: 0 }, format!("cannot be read: {why}"));
        return None;
    }
    Some(parse(file, &text, report))
}

/// Merges what `include` names, in the order of the patterns and then of names.
fn include(root: &mut Table, path: &Path, digest: &mut Sha256, report: &mut Report) {
    let start = At { file: 0, offset: 0 };
    let patterns: Vec<(String, At)> = Fields::unchecked(root, start, report)
        .strings("include")
        .into_iter()
        .map(|(pattern, at)| (pattern.to_owned(), at))
        .collect();
    let base = path.parent().unwrap_or(Path::new(""));
    for (pattern, at) in patterns {
        for file in matches(&base.join(&pattern), at, report) {
            let Some(mut table) = read(&file, digest, report) else { continue };
            for entry in table.entries.extract_if(.., |entry| entry.key == "include") {
                report.fault(entry.at, "an included file includes no others");
            }
            root.merge(table, report);
        }
    }
}

fn matches(pattern: &Path, at: At, report: &mut Report) -> Vec<PathBuf> {
    let paths = glob::glob(&pattern.to_string_lossy());
    let listed = paths
        .map_err(|error| error.to_string())
        .and_then(|paths| paths.collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string()));
    listed.unwrap_or_else(|why| {
        report.fault(at, format!("include {}: {why}", pattern.display()));
        Vec::new()
    })
}

fn validate(root: &Table, digest: [u8; 32], report: &mut Report) -> (Config, Vec<Vec<At>>) {
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
    let services_at = section("service").unwrap_or((&empty, start));
    let sinks = top.node("sink").map(|node| sinks(node, top.report)).unwrap_or_default();

    let kernel = kernel(&mut named(kernel_at, &KERNEL, report));
    let geoip = geoip_at.and_then(|at| geoip(&mut named(at, &GEOIP, report)));
    let (global, denial) = global(&mut named(global_at, &GLOBAL_ACCESS, report));
    let log = log(&mut named(log_at, &LOG, report));
    let (api, api_at) = api(&mut named(api_at, &API, report));
    let services = services(services_at.0, denial, report);
    ports::conflicts(&services, (&api, api_at), report);
    ports::loops(&services, report);
    warn_of_open(&services, &global, report);
    warn_without_database(&services, &global, geoip.is_some(), report);
    let listens = services.iter().map(|placed| placed.listen.iter().map(|(_, at)| *at).collect());
    let listens = listens.collect();
    let config = Config {
        data_dir,
        runtime_dir,
        kernel,
        geoip,
        global,
        log,
        api,
        sinks,
        services: services.into_iter().map(|placed| placed.service).collect(),
        digest,
    };
    (config, listens)
}

fn named<'a, 'r>(
    (table, at): (&'a Table, At),
    schema: &'static Schema,
    report: &'r mut Report,
) -> Fields<'a, 'r> {
    Fields::new(table, at, (schema, schema.name), report)
}

fn warn_of_open(services: &[Placed], global: &GlobalAccess, report: &mut Report) {
    for placed in services {
        if !global.access.restricts() && !placed.service.access.restricts() {
            let name = &placed.service.name;
            let message = format!("service {name} is open to all: it has no restrictions");
            report.warn(placed.at, message);
        }
    }
}

fn warn_without_database(
    services: &[Placed],
    global: &GlobalAccess,
    has_database: bool,
    report: &mut Report,
) {
    if has_database {
        return;
    }
    for placed in services {
        if global.access.asks_country() || placed.service.access.asks_country() {
            let message = format!(
                "service {} has country rules, and no [geoip] database is configured: \
                 they deny everyone that is not exempt",
                placed.service.name
            );
            report.warn(placed.at, message);
        }
    }
}

/// Where things are of a configuration that may be faulty elsewhere, for commands
/// that must find the daemon in any case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Whereabouts {
    /// `runtime_dir`, where it can be read.
    pub runtime_dir: Option<PathBuf>,
    /// `kernel.bpffs`, where it can be read.
    pub bpffs: Option<PathBuf>,
}

/// Reads where things are, whatever else is wrong.
pub fn whereabouts(path: &Path) -> Whereabouts {
    let mut report = Report::default();
    let Some(root) = read(path, &mut Sha256::new(), &mut report) else {
        return Whereabouts::default();
    };
    let start = At { file: 0, offset: 0 };
    let mut top = Fields::unchecked(&root, start, &mut report);
    let runtime_dir = top.path("runtime_dir");
    let kernel = top.table("kernel");
    let bpffs =
        kernel.and_then(|(table, at)| Fields::unchecked(table, at, &mut report).path("bpffs"));
    Whereabouts { runtime_dir, bpffs }
}
