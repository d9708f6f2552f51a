//! Whom a request is from, and what restrictions make of that.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use weir_tests::{
    geo,
    lab::{self, BLOCKED4_CIDR, Lab},
    program,
    scenario::{database, geoip},
    wait::SOON,
    web::{curl::Curl, kept::Kept, site, target::Target},
    weir::Weir,
};

/// A proxy, among the clients.
const PROXY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 254));
const PROXY_PORT: u16 = 8000;
/// The same, for plain requests.
const PLAIN_PORT: u16 = 8001;
/// Of the service `plain`, which takes requests without TLS.
const PLAIN: u16 = 8080;

/// Germany's clients alone, but for those in a prefix.
fn restricted(name: &str, lines: &str, access: &str) -> String {
    let access = format!(
        "{lines}\n[service.{name}.access]\nblocked_cidrs = ['{BLOCKED4_CIDR}']\n\
         allowed_countries = ['DE']\n{access}"
    );
    site(name, &format!("{name}.example.com"), &access)
}

/// Starts a daemon that knows where the lab's clients are.
fn start<'a>(lab: &'a Lab, tables: &str) -> Result<Weir<'a>> {
    let mut weir = Weir::install(&lab.server)?;
    geo::write(&database(&weir))?;
    weir.configure("", &(geoip(&weir) + tables))?;
    weir.launch()?;
    Ok(weir)
}

/// A row: who sends what in `X-Forwarded-For`; as whom it is seen, and what becomes of it.
type Row<'a> = (IpAddr, &'a [&'a str], &'a str, Option<&'a str>);

const COUNTRY: Option<&str> = Some("country_restricted");
const PREFIX: Option<&str> = Some("ip_restricted");

const ROWS: [Row<'static>; 17] = [
    // The peer, unless it is a trusted proxy.
    (lab::DE4, &[], "198.51.100.2", None),
    (lab::DE6, &[], "2001:db8:de::2", None),
    (lab::FR4, &[], "203.0.113.2", COUNTRY),
    (lab::BLOCKED4, &[], "198.51.100.70", PREFIX),
    (lab::FR4, &["198.51.100.2"], "203.0.113.2", COUNTRY),
    // From right to left, over all lines, past trusted and empty entries.
    (PROXY, &["198.51.100.2"], "198.51.100.2", None),
    (PROXY, &["203.0.113.2"], "203.0.113.2", COUNTRY),
    (PROXY, &["198.51.100.70"], "198.51.100.70", PREFIX),
    (PROXY, &["198.51.100.2, 203.0.113.2"], "203.0.113.2", COUNTRY),
    (PROXY, &["203.0.113.2, 198.51.100.2", ", 192.0.2.254"], "198.51.100.2", None),
    (PROXY, &["[2001:db8:de::2]:4711"], "2001:db8:de::2", None),
    (PROXY, &["198.51.100.2:4711"], "198.51.100.2", None),
    // No address: the last trusted hop.
    (PROXY, &["198.51.100.2, unknown"], "192.0.2.254", COUNTRY),
    (PROXY, &[], "192.0.2.254", COUNTRY),
    // Private addresses are exempt from countries, unless somebody stands behind them.
    (lab::PRIVATE4, &[], "10.77.0.2", None),
    (lab::PRIVATE4, &["198.51.100.2"], "10.77.0.2", COUNTRY),
    (PROXY, &["10.77.0.2"], "10.77.0.2", None),
];

#[test]
fn restrictions_judge_the_client_that_trusted_proxies_name() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let target = Target::start(&lab.server)?;
    let trusted = format!("[http]\ntrusted_proxies = ['{PROXY}']\n");
    let weir = start(&lab, &(trusted + &restricted("wiki", "", "")))?;
    for (from, said, seen, reason) in ROWS {
        let row = format!("{from} {said:?}");
        let headers: Vec<String> =
            said.iter().map(|value| format!("X-Forwarded-For: {value}")).collect();
        let headers: Vec<&str> = headers.iter().flat_map(|header| ["-H", header]).collect();
        let received = target.received().len();
        let answer = Curl::from(&lab, from).with(&headers).get("https://wiki.example.com/")?;
        let id = if reason.is_none() {
            assert_eq!(answer.status, 200, "{row}: {answer:?}");
            let received = target.last()?;
            assert_eq!(received.header("x-real-ip"), Some(seen), "{row}");
            let mut hops: Vec<&str> = if from == PROXY { said.to_vec() } else { Vec::new() };
            let peer = from.to_string();
            hops.push(&peer);
            assert_eq!(received.header("x-forwarded-for"), Some(hops.join(", ").as_str()), "{row}");
            received.header("x-request-id").context("no id")?.to_owned()
        } else {
            assert_eq!(answer.status, 403, "{row}: {answer:?}");
            assert_eq!(target.received().len(), received, "{row}: the target was asked");
            answer.told_id()?.to_owned()
        };
        let record = weir.wait_for_event(&format!("search={id}"), SOON)?;
        let verdict = if reason.is_some() { "denied" } else { "allowed" };
        let expected = json!({
            "service_id": "wiki", "source_ip": seen, "verdict": verdict, "reason": reason,
            "status_code": answer.status, "protocol": "http",
        });
        for (field, value) in expected.as_object().context("fields")? {
            assert_eq!(&record[field], value, "{row}: {field} of {record}");
        }
        let exempt = seen == "10.77.0.2" && reason.is_none();
        assert_eq!(record["metadata"]["country_exempt"] == "true", exempt, "{row}: {record}");
        let proxy = record["metadata"]["proxy"].as_str().unwrap_or_default();
        assert_eq!(
            proxy.starts_with("192.0.2.254:"),
            from == PROXY && seen != "192.0.2.254",
            "{row}"
        );
    }
    assert_eq!(weir.events("")?.len(), ROWS.len(), "one record of each");
    Ok(())
}

#[test]
fn what_is_observed_is_served_and_recorded() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _target = Target::start(&lab.server)?;
    let weir = start(&lab, &restricted("wiki", "", "mode = 'observe'"))?;
    for (from, observed) in [(lab::DE4, None), (lab::FR4, COUNTRY), (lab::BLOCKED4, PREFIX)] {
        assert_eq!(Curl::from(&lab, from).get("https://wiki.example.com/")?.status, 200);
        let record = weir.wait_for_event(&format!("source_ip={from}"), SOON)?;
        assert_eq!(record["observed_reason"], json!(observed), "{record}");
        assert_eq!((&record["verdict"], &record["reason"]), (&"allowed".into(), &Value::Null));
    }
    Ok(())
}

#[test]
fn every_request_of_a_kept_connection_is_judged() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let target = Target::start(&lab.server)?;
    let tables = |block: IpAddr| {
        let lines = format!("tls = false\nlisten = {PLAIN}\nblock = ['{block}']");
        site("plain", "plain.example.com", &lines)
    };
    let weir = Weir::start(&lab.server, "", &tables(lab::BLOCKED4))?;
    let to = SocketAddr::new(lab::SERVER4, PLAIN);
    let mut kept = Kept::connect(&lab, lab::DE4, to, "plain.example.com")?;
    assert_eq!(kept.get("/")?, 200);
    weir.configure("", &tables(lab::DE4))?;
    weir.reload()?;
    assert_eq!(kept.get("/")?, 403);
    weir.configure("", &tables(lab::BLOCKED4))?;
    weir.reload()?;
    assert_eq!(kept.get("/")?, 200);
    drop(kept);
    let port = |record: &Value| record["source_port"].clone();
    let records = weir.wait_for_events(3, "", SOON)?;
    assert_eq!(records.len(), 3);
    assert!(records.iter().all(|record| port(record) == port(&records[0])), "{records:?}");
    assert_eq!(target.received().len(), 2);
    Ok(())
}

#[test]
fn a_listed_peer_speaks_for_its_clients_by_the_proxy_protocol() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let target = Target::start(&lab.server)?;
    let directory = tempfile::tempdir()?;
    let front = |(name, at, port): (&str, u16, u16)| {
        let to = SocketAddr::new(lab::SERVER4, port);
        format!("listen {name}\n bind {PROXY}:{at}\n server weir {to} send-proxy-v2\n")
    };
    let sections = [("tls", PROXY_PORT, 443), ("plain", PLAIN_PORT, 80)].map(front).concat();
    let _haproxy = program::haproxy(&lab.clients, &sections, PROXY_PORT, directory.path())?;
    let accept = format!("proxy_protocol = {{ accept_from = ['{PROXY}'] }}");
    let weir = start(&lab, &restricted("wiki", &accept, ""))?;
    let front = format!("::{PROXY}:{PROXY_PORT}");
    for (from, status) in [(lab::DE4, 200), (lab::FR4, 403), (lab::BLOCKED4, 403)] {
        let curl = Curl::through(&lab, from, &front);
        assert_eq!(curl.get("https://wiki.example.com/")?.status, status, "{from}");
        let record = weir.wait_for_event(&format!("source_ip={from}"), SOON)?;
        assert_eq!(record["status_code"], status, "{record}");
        let proxy = record["metadata"]["proxy"].as_str().unwrap_or_default();
        ensure!(proxy.starts_with(&format!("{PROXY}:")), "{record}");
    }
    assert_eq!(target.received().len(), 1);
    assert_eq!(target.last()?.header("x-forwarded-for"), Some("198.51.100.2"));
    // On the port that only redirects as well.
    let curl = Curl::through(&lab, lab::DE4, &format!("::{PROXY}:{PLAIN_PORT}"));
    assert_eq!(curl.get("http://wiki.example.com/")?.status, 308);
    let record = weir.wait_for_event("status_code=308", SOON)?;
    assert_eq!(record["source_ip"], lab::DE4.to_string(), "{record}");
    // Who is not listed speaks for itself, who is has to speak for somebody.
    assert_eq!(Curl::new(&lab).get("https://wiki.example.com/")?.status, 200);
    ensure!(Curl::from(&lab, PROXY).get("https://wiki.example.com/").is_err(), "served");
    let record = weir.wait_for_event("reason=bad_request", SOON)?;
    assert_eq!(record["source_ip"], PROXY.to_string(), "{record}");
    Ok(())
}

/// Whether clients speak TLS is what the proxy in front says, where one is believed.
#[test]
fn targets_lead_clients_back_to_the_scheme_that_they_came_by() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _target = Target::start(&lab.server)?;
    let lines = format!("tls = false\nlisten = {PLAIN}");
    let trusted = format!("[http]\ntrusted_proxies = ['{PROXY}']\n");
    let _weir = start(&lab, &(trusted + &site("plain", "plain.example.com", &lines)))?;
    for (from, said, scheme) in
        [(PROXY, "https", "https"), (PROXY, "http", "http"), (lab::DE4, "https", "http")]
    {
        let said = format!("X-Forwarded-Proto: {said}");
        let url = format!("http://plain.example.com:{PLAIN}/to?http://127.0.0.1:7003/a");
        let answer = Curl::from(&lab, from).with(&["-H", &said]).get(&url)?;
        let there = format!("{scheme}://plain.example.com:{PLAIN}/a");
        assert_eq!(answer.header("location"), Some(there.as_str()), "{from} {said}");
    }
    Ok(())
}
