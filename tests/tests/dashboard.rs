//! The dashboard, in a real browser. `WEIR_SCREENSHOTS=FOLDER` keeps pictures, and
//! `WEIR_RECORDS=DATA_DIR` has them show the records of another store (`cargo xtask fill`).

use std::{fs, net::SocketAddr, path::PathBuf};

use anyhow::{Context, Result, ensure};
use weir_tests::{
    browser::{Axe, Browser, Scripts, key},
    client, geo,
    lab::{self, Lab},
    server::{Behaviour, Server},
    wait::SOON,
    web::{curl::Curl, secret::hash, site, site_of, target::Target},
    weir::Weir,
};

/// Of a window, width and height: high enough for a map below charts.
const WIDE: (u32, u32) = (1440, 1400);
const HOST: &str = "127.0.0.1";
const HOME: &str = "http://127.0.0.1:8790";
const EVENTS: &str = "http://127.0.0.1:8790/activity/proxy-events";
/// Of a service that relays to [`ECHO`].
const DATABASE: u16 = 5432;
const ECHO: u16 = 7011;
const SCRIPT: &str = "/%3Cscript%3Edocument.title='owned'%3C/script%3E";

/// Services of several kinds, some of which refuse or fail.
fn tables(weir: &Weir<'_>) -> Result<String> {
    let database = weir.path("geo.mmdb");
    geo::write(&database)?;
    let password = format!("password = '{}'", hash(&[], "correct horse")?);
    Ok([
        format!("[geoip]\ndatabase = '{}'\n", database.display()),
        site("wiki", "wiki.example.com", "allow = ['DE', 'FR']"),
        site("vault", "vault.example.com", &password),
        site("closed", "closed.example.com", "allow = ['DE']"),
        site_of("down", "down.example.com", "http://127.0.0.1:9", ""),
        format!(
            "[service.database]\nmode = 'tcp'\nlisten = {DATABASE}\n\
             target = '127.0.0.1:{ECHO}'\n"
        ),
    ]
    .concat())
}

/// Requests of all outcomes, as many records.
fn traffic(lab: &Lab) -> Result<usize> {
    let agent = ["--user-agent", "<script>document.title='owned'</script>"];
    for (from, url) in [
        (lab::DE4, format!("https://wiki.example.com{SCRIPT}")),
        (lab::FR4, "https://wiki.example.com/pages/start".to_owned()),
        (lab::FR6, "https://wiki.example.com/status/404".to_owned()),
        (lab::DE4, "https://vault.example.com/secrets".to_owned()),
        (lab::FR4, "https://closed.example.com/".to_owned()),
        (lab::DE6, "https://down.example.com/report".to_owned()),
        (lab::DE4, "https://nowhere.example.com/".to_owned()),
    ] {
        Curl::from(lab, from).with(&agent).output(&url)?;
    }
    Ok(7)
}

fn token(weir: &Weir<'_>, name: &str, more: &[&str]) -> Result<String> {
    let said = weir.run(&[&["token", "create", name], more].concat())?;
    Ok(said.split_whitespace().last().context("no token")?.to_owned())
}

fn sign_in(browser: &Browser<'_>, token: &str) -> Result<()> {
    browser.go(HOME)?;
    browser.waits_for("Made on this host by")?;
    browser.fill("#token", token)?;
    browser.click("button")?;
    browser.waits_for("Overview").map(drop)
}

/// No page may need what its own policy forbids, and no script may fail.
fn assert_clean(browser: &Browser<'_>) -> Result<()> {
    let complaints = browser.complaints()?;
    let known = |line: &&String| {
        // The answers to a wrong token and to a bad filter.
        line.contains("status of 403") || line.contains("status of 400") || line.contains("[DOM]")
    };
    let others: Vec<_> = complaints.iter().filter(|line| !known(line)).collect();
    ensure!(others.is_empty(), "{others:?}");
    Ok(())
}

#[test]
fn people_find_what_they_look_for() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _target = Target::start(&lab.server)?;
    let mut weir = Weir::install(&lab.server)?;
    weir.configure("", &tables(&weir)?)?;
    weir.launch()?;
    let Some(browser) = Browser::for_test(&lab.server, HOST, Scripts::Run)? else { return Ok(()) };
    browser.window(WIDE, "light")?;
    weir.wait_for_events(traffic(&lab)?, "", SOON)?;

    wrong_tokens(&browser, &weir)?;
    sign_in(&browser, &token(&weir, "alice", &[])?)?;
    filter_and_open(&browser)?;
    export(&browser)?;
    tail(&browser, &lab, &weir)?;
    drag(&browser)?;
    explain(&browser)?;
    sign_out(&browser, &weir)?;
    assert_clean(&browser)
}

fn wrong_tokens(browser: &Browser<'_>, weir: &Weir<'_>) -> Result<()> {
    let revoked = token(weir, "revoked", &[])?;
    weir.run(&["token", "revoke", "revoked"])?;
    let metrics = token(weir, "scraper", &["--scope", "metrics"])?;
    browser.go(EVENTS)?;
    for (token, said) in [
        ("weir_0000", "unknown, revoked or expired"),
        (&revoked, "unknown, revoked or expired"),
        (&metrics, "may read /metrics only"),
    ] {
        browser.fill("#token", token)?;
        browser.click("button")?;
        browser.waits_for(said)?;
    }
    Ok(())
}

fn filter_and_open(browser: &Browser<'_>) -> Result<()> {
    browser.go(&format!("{EVENTS}?service_id=wiki"))?;
    let page = browser.waits_for("1 to 3 of 3")?;
    ensure!(page.contains("%3Cscript%3E"), "{page}");
    browser.click("td.c-status a[href*='status_code=404']")?;
    browser.waits_for("1 to 1 of 1")?;
    ensure!(browser.url()?.ends_with("service_id=wiki&status_code=404"), "{}", browser.url()?);
    browser.click(".chips a[aria-label*='404']")?;
    browser.waits_for("1 to 3 of 3")?;

    browser.fill("#f-search", "script")?;
    browser.types(key::ENTER)?;
    browser.waits_for("1 to 1 of 1")?;
    browser.click("a.open")?;
    let page = browser.waits_for("user_agent")?;
    ensure!(page.contains("<script>document.title='owned'</script>"), "{page}");
    ensure!(browser.run("return document.title")? == "Proxy Events · Weir", "a script ran");

    browser.go(&format!("{EVENTS}?sort_by=status_code&sort_order=desc&page_size=2"))?;
    browser.waits_for("1 to 2 of 7")?;
    browser.follow("Next")?;
    browser.waits_for("3 to 4 of 7")?;
    browser.follow("Previous")?;
    browser.waits_for("1 to 2 of 7")?;

    // Where new ones come in front, pages are told by the record that they begin behind.
    browser.go(&format!("{EVENTS}?page_size=2"))?;
    browser.waits_for("1 to 2 of 7")?;
    browser.follow("Next")?;
    browser.waits_for("2 of 7")?;
    ensure!(browser.url()?.contains("cursor="), "{}", browser.url()?);

    times_are_typed(browser)?;
    browser.click("#columns summary")?;
    browser.click("#columns input[value=location]")?;
    browser.go(EVENTS)?;
    browser.waits_until(
        "return getComputedStyle(document.querySelector('td.c-location')).display === 'none'",
    )?;
    browser.run("localStorage.clear()").map(drop)
}

/// Which take the place of the preset that the form came with.
fn times_are_typed(browser: &Browser<'_>) -> Result<()> {
    browser.go(EVENTS)?;
    browser.click("details.more summary")?;
    for (end, shown) in [("2001-01-01", "No record matches"), ("2999-01-01", "1 to 7 of 7")] {
        browser.run("document.querySelector('#f-end_date').value = ''")?;
        browser.run("document.querySelector('details.more').open = true")?;
        browser.fill("#f-end_date", end)?;
        browser.types(key::ENTER)?;
        browser.waits_for(shown)?;
        ensure!(browser.url()?.ends_with(&format!("?end_date={end}")), "{}", browser.url()?);
    }
    Ok(())
}

fn export(browser: &Browser<'_>) -> Result<()> {
    browser.go(&format!("{EVENTS}?service_id=wiki"))?;
    let csv = browser.await_script(
        "const link = document.querySelector('a[href*=\"format=csv\"]'); \
         return (await fetch(link.href)).text();",
    )?;
    let csv = csv.as_str().context("no text")?;
    ensure!(csv.starts_with("id,service_id,timestamp") && csv.lines().count() == 4, "{csv}");
    Ok(())
}

fn tail(browser: &Browser<'_>, lab: &Lab, weir: &Weir<'_>) -> Result<()> {
    browser.go(&format!("{EVENTS}?service_id=wiki"))?;
    Curl::new(lab).get("https://wiki.example.com/live/between")?;
    weir.wait_for_event("path=/live/between", SOON)?;
    browser.click("#tail")?;
    browser.waits_for("wiki.example.com/live/between")?;
    browser.waits_for("Following new records")?;
    // First, so that it would be there before the others.
    Curl::new(lab).get("https://vault.example.com/live/other")?;
    for page in ["one", "two"] {
        Curl::new(lab).get(&format!("https://wiki.example.com/live/{page}"))?;
    }
    let page = browser.waits_for("2 came")?;
    ensure!(page.contains("wiki.example.com/live/one") && !page.contains("live/other"), "{page}");
    let first = browser.run("return document.querySelector('tbody tr').innerText")?;
    ensure!(first.as_str().is_some_and(|row| row.contains("/live/two")), "{first}");
    browser.click("#tail")?;
    browser.waits_for("The tail has stopped").map(drop)
}

fn drag(browser: &Browser<'_>) -> Result<()> {
    browser.go(&format!("{HOME}/?range=1h"))?;
    browser.waits_for("Drag over a chart")?;
    let page = browser.page()?;
    for part in ["Germany", "France", "Country not allowed", "wiki", "4xx"] {
        ensure!(page.contains(part), "{part} is not in {page}");
    }
    browser.waits_until("return document.querySelectorAll('#map .has').length === 2")?;
    browser.drag("#requests .u-over")?;
    browser.waits_until("return location.search.includes('start_date')")?;
    let url = browser.url()?;
    ensure!(url.contains("end_date=") && !url.contains("range="), "{url}");
    browser.waits_for("From (UTC):")?;
    let within = browser.run(
        "const asked = new URLSearchParams(location.search); \
         const [from, to] = ['start_date', 'end_date'].map((name) => Date.parse(asked.get(name))); \
         return from < to && to - from < 3600e3 && from > Date.now() - 3600e3 \
         && to < Date.now() + 60e3;",
    )?;
    ensure!(within == true, "{url}");
    Ok(())
}

fn explain(browser: &Browser<'_>) -> Result<()> {
    browser.go(&format!("{HOME}/explain"))?;
    browser.fill("#ip", &lab::FR4.to_string())?;
    browser.fill("#url", "https://closed.example.com/")?;
    browser.click("main form button")?;
    let page = browser.waits_for("FR is not in allowed_countries")?;
    ensure!(page.contains("Denied") && page.contains("Country not allowed"), "{page}");
    Ok(())
}

fn sign_out(browser: &Browser<'_>, weir: &Weir<'_>) -> Result<()> {
    browser.go(&format!("{HOME}/activity/audit"))?;
    let page = browser.waits_for("signed in")?;
    ensure!(page.contains("token alice"), "{page}");
    browser.click(".who button")?;
    browser.waits_for("Made on this host by")?;
    browser.go(&format!("{HOME}/flows"))?;
    browser.waits_for("Made on this host by")?;
    let audit = weir.api("/api/events/audit")?.to_string();
    ensure!(audit.contains("signed_out"), "{audit}");
    Ok(())
}

#[test]
fn pages_are_accessible_in_either_light_and_on_a_telephone() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let Some(axe) = Axe::for_test() else { return Ok(()) };
    let _target = Target::start(&lab.server)?;
    let _echo =
        Server::start(&lab.server, SocketAddr::from(([127, 0, 0, 1], ECHO)), Behaviour::Echo)?;
    let mut weir = Weir::install(&lab.server)?;
    weir.configure("", &tables(&weir)?)?;
    if let Some(records) = std::env::var_os("WEIR_RECORDS").map(PathBuf::from) {
        copy(&records, &weir.data_dir())?;
    }
    weir.launch()?;
    let Some(browser) = Browser::for_test(&lab.server, HOST, Scripts::Run)? else { return Ok(()) };
    traffic(&lab)?;
    weir.wait_for_events(1, "service_id=down&path=/report", SOON)?;
    let place = SocketAddr::new(lab::SERVER4, DATABASE);
    let mut flows = Vec::new();
    for (from, bytes) in [(lab::DE4, 4000), (lab::FR4, 90_000), (lab::PRIVATE4, 700_000)] {
        let mut flow = client::connect((&lab.clients, from), place)?;
        client::exchange(&mut flow, bytes)?;
        flows.push(flow);
    }

    browser.window(WIDE, "light")?;
    browser.go(HOME)?;
    browser.waits_for("Made on this host by")?;
    look(&browser, &axe, "sign-in")?;
    sign_in(&browser, &token(&weir, "alice", &[])?)?;
    for (name, path, said) in [
        ("overview", "/?range=24h", "Drag over a chart"),
        ("events", "/activity/proxy-events?range=24h", "1 to"),
        (
            "filters",
            "/activity/proxy-events?range=24h&verdict=denied&reason=nothing",
            "is not one of",
        ),
        ("audit", "/activity/audit", "signed in"),
        ("flows", "/flows", "B/s"),
        ("services", "/services", "Certificates"),
        ("explain", "/explain?ip=203.0.113.2", "FR is not in allowed_countries"),
    ] {
        browser.go(&format!("{HOME}{path}"))?;
        browser.waits_for(said)?;
        look(&browser, &axe, name)?;
    }
    browser.go(&format!("{EVENTS}?service_id=wiki"))?;
    let record = browser.run("return document.querySelector('a.open').href")?;
    browser.go(record.as_str().context("no record")?)?;
    browser.waits_for("user_agent")?;
    look(&browser, &axe, "record")?;
    assert_clean(&browser)
}

/// In each light, and in a narrow window.
fn look(browser: &Browser<'_>, axe: &Axe, name: &str) -> Result<()> {
    for scheme in ["light", "dark"] {
        browser.window(WIDE, scheme)?;
        settle(browser)?;
        axe.examine(browser)?;
        browser.keep(&format!("{name}-{scheme}"))?;
    }
    browser.window((390, 844), "light")?;
    settle(browser)?;
    axe.examine(browser)?;
    browser.waits_until("return document.documentElement.scrollWidth <= innerWidth")?;
    browser.keep(&format!("{name}-phone"))?;
    browser.window(WIDE, "light")
}

/// Until everything is there, also after the overview has been drawn again.
fn settle(browser: &Browser<'_>) -> Result<()> {
    browser.waits_until(
        "return document.readyState === 'complete' \
         && !document.getElementById('said')?.textContent.includes('Counting') \
         && [...document.images].every(({ complete, loading }) => complete || loading === 'lazy')",
    )
}

#[test]
fn without_script_records_can_be_read_and_filtered() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _target = Target::start(&lab.server)?;
    let mut weir = Weir::install(&lab.server)?;
    weir.configure("", &tables(&weir)?)?;
    weir.launch()?;
    let Some(browser) = Browser::for_test(&lab.server, HOST, Scripts::Blocked)? else {
        return Ok(());
    };
    weir.wait_for_events(traffic(&lab)?, "", SOON)?;
    browser.go(EVENTS)?;
    browser.types(&format!("{}{}", token(&weir, "bob", &[])?, key::ENTER))?;
    browser.waits_for("1 to 7 of 7")?;
    browser.click("details.more summary")?;
    browser.fill("#f-path", "report")?;
    browser.types(key::ENTER)?;
    browser.waits_for("Target unreachable")?;
    browser.click("a.open")?;
    browser.waits_for("backend_unreachable").map(drop)
}

fn copy(from: &PathBuf, to: &PathBuf) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let (path, to) = (entry?.path(), to.clone());
        let target = to.join(path.file_name().context("no name")?);
        if path.is_dir() {
            copy(&path, &target)?;
        } else {
            fs::copy(&path, &target)?;
        }
    }
    Ok(())
}
