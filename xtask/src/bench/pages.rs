//! The dashboard's pages over ten million records, in a browser.

use std::fs;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use weir_tests::{
    browser::{Browser, Scripts},
    lab::Lab,
    weir::Weir,
};

use super::{goal, stats::median, store::fill};
use crate::build::{Options, release};

const RECORDS: u64 = 10_000_000;
/// Every round asks for all pages; the first reads what later ones find in memory.
const ROUNDS: usize = 9;
/// Longer than this people wait (Nielsen, Usability Engineering, 1993, 5.5).
const WITHIN: f64 = 1000.0;

/// What is looked at, and by which address.
const PAGES: [(&str, &str); 10] = [
    ("overview of 24 hours", "/?range=24h"),
    ("overview of everything", "/?range=all"),
    ("newest records", "/activity/proxy-events"),
    ("denied within a day", "/activity/proxy-events?range=24h&verdict=denied"),
    ("a country", "/activity/proxy-events?country_code=DE"),
    ("search", "/activity/proxy-events?search=invoices"),
    ("slowest first", "/activity/proxy-events?sort_by=duration"),
    ("audit", "/activity/audit"),
    ("flows", "/flows"),
    ("services", "/services"),
];

/// Milliseconds from the click until the page is loaded, and the overview's charts are drawn.
const TAKEN: &str = "
    const [page] = performance.getEntriesByType('navigation');
    if (!document.getElementById('overview')) return page.loadEventEnd;
    const drawn = () => performance.getEntriesByName('drawn')[0];
    while (!drawn()) await new Promise(requestAnimationFrame);
    return drawn().startTime;";

pub(super) fn measure() -> Result<Value> {
    let binary = release(Options::default())?.canonicalize()?;
    let lab = Lab::new()?;
    let mut weir = Weir::install_from(&lab.server, binary)?;
    weir.configure("", "")?;
    let filled = weir.path("filled");
    fill(&filled, RECORDS)?;
    fs::rename(filled.join("weir"), weir.data_dir()).context("moving the records")?;
    weir.launch()?;
    let records = weir.api("/api/events/proxy?page_size=1")?["total_records"].clone();
    ensure!(records.as_u64() >= Some(RECORDS), "{records} records are there");
    let browser = signed_in(&lab, &weir)?;
    let mut taken = vec![Vec::new(); PAGES.len()];
    for _ in 0..ROUNDS {
        for ((_, path), taken) in PAGES.iter().zip(&mut taken) {
            browser.go(&format!("http://127.0.0.1:8790{path}"))?;
            let ms = browser.await_script(TAKEN)?;
            taken.push(ms.as_f64().with_context(|| format!("{path}: {ms}"))?);
        }
    }
    let (mut figures, mut slowest) = (Vec::new(), 0.0_f64);
    for ((name, path), rounds) in PAGES.iter().zip(&taken) {
        let median = median(rounds);
        slowest = slowest.max(median);
        println!("{name:24} {median:>8.0} ms");
        figures
            .push(json!({ "page": name, "path": path, "median_ms": median, "rounds_ms": rounds }));
    }
    let goal = goal("every page is there within a second", slowest <= WITHIN);
    Ok(json!({ "records": records, "pages": figures, "goals": [goal] }))
}

fn signed_in<'a>(lab: &'a Lab, weir: &Weir<'_>) -> Result<Browser<'a>> {
    let Some(browser) = Browser::for_test(&lab.server, "127.0.0.1", Scripts::Run)? else {
        bail!("there is no browser to measure with");
    };
    let said = weir.run(&["token", "create", "bench"])?;
    let token = said.split_whitespace().last().context("no token")?;
    browser.go("http://127.0.0.1:8790/flows")?;
    browser.fill("#token", token)?;
    browser.click("button")?;
    browser.waits_for("Signed in by token")?;
    Ok(browser)
}
