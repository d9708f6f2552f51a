//! What the API refuses over TCP: a status and a message that names what is wrong, of a
//! daemon that goes on.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use weir_tests::{
    lab::{self, Lab},
    scenario::{PLANES, Servers, assert_both_serve, blocking},
    server::Behaviour,
    wait::{SOON, holds},
    weir::Weir,
};

/// Each parameter of records wrong once, and what the message says besides its name.
const WRONG: [(&str, &str); 25] = [
    ("page=0", "a number from 1"),
    ("page=2001", "use cursor"),
    ("page_size=many", "a number from 1"),
    ("cursor=broken", "a next_cursor"),
    ("cursor=0190b2a0-0000-7000-8000-00000000000", "a next_cursor"),
    ("cursor=0190b2a0-0000-7000-8000-000000000000&page=1", "excludes page"),
    ("sort_by=colour", "one of timestamp"),
    ("sort_order=up", "asc or desc"),
    ("search=a&search=b", "more than once"),
    ("source_ip=10.0.0.1/8", "10.0.0.0/8"),
    ("status_code=1000", "from 0 to 999"),
    ("protocol=icmp", "one of"),
    ("country_code=DEU", "two letters"),
    ("auth_method=magic", "one of"),
    ("reason=because", "ip_restricted"),
    ("verdict=maybe", "allowed, denied or error"),
    ("observed=perhaps", "true or false"),
    ("path=a&path=b", "more than once"),
    ("user_email=a&user_email=b", "more than once"),
    ("user_name=a&user_email=b", "synonym"),
    ("status=good", "success or failed"),
    ("start_date=today", "start_date"),
    ("end_date=2026-13-01", "end_date"),
    ("active_start=1", "active_start"),
    ("active_end=2026-01-01T00:00", "active_end"),
];

/// Lists of free text: nothing is wrong but too many.
const FREE: [&str; 4] = ["host", "method", "user_id", "service_id"];

/// A client of the API's TCP listener.
struct Client<'a> {
    lab: &'a Lab,
    token: String,
}

impl<'a> Client<'a> {
    fn new(lab: &'a Lab, token: String) -> Self {
        Self { lab, token }
    }

    /// The status and the body of a `GET`, with more of curl's arguments.
    fn get(&self, target: &str, arguments: &[&str]) -> Result<(u16, String)> {
        let mut command = self.lab.server.bound_command("curl");
        command.args(["--silent", "--show-error", "--globoff", "--max-time", "20"]);
        command.args(["--write-out", "\n%{http_code}"]).args(arguments);
        if !self.token.is_empty() {
            command.arg("-H").arg(format!("Authorization: Bearer {}", self.token));
        }
        let output = command.arg(format!("http://127.0.0.1:8790{target}")).output()?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.success(), "{target}: {said}");
        let text = String::from_utf8(output.stdout)?;
        let (body, status) = text.rsplit_once('\n').context("no status")?;
        Ok((status.parse()?, body.to_owned()))
    }

    /// Expects an error of that status; its message.
    fn refused(&self, status: u16, target: &str, arguments: &[&str]) -> Result<String> {
        let (given, body) = self.get(target, arguments)?;
        ensure!(given == status, "{target}: {given}, not {status}: {body}");
        let error: Value = serde_json::from_str(&body).with_context(|| body.clone())?;
        ensure!(error["code"] == status, "{target}: {body}");
        ensure!(self.token.is_empty() || !body.contains(&self.token), "{target}: {body}");
        Ok(error["message"].as_str().context("no message")?.to_owned())
    }

    fn served(&self, target: &str) -> Result<()> {
        let (status, body) = self.get(target, &[])?;
        ensure!(status == 200, "{target}: {status}: {body}");
        Ok(())
    }
}

/// Makes a token; its secret.
fn token(weir: &Weir<'_>, arguments: &[&str]) -> Result<String> {
    let made = weir.run(&[&["token", "create"], arguments].concat())?;
    let secret = made.split_whitespace().find(|word| word.starts_with("weir_"));
    Ok(secret.with_context(|| format!("no token: {made}"))?.to_owned())
}

fn assert_named(message: &str, name: &str, expected: &str) {
    let is_named = message.starts_with(&format!("{name}: ")) && message.contains(expected);
    assert!(is_named, "{name}, {expected:?}: {message}");
}

#[test]
fn each_wrong_parameter_is_named() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _servers = Servers::start(&lab, Behaviour::Echo)?;
    let mut weir = Weir::start(&lab.server, "", &blocking())?;
    assert_both_serve(&lab, lab::DE4)?;
    weir.wait_for_events(PLANES.len(), "", SOON)?;
    let client = Client::new(&lab, token(&weir, &["reader"])?);
    let events = "/api/events/proxy";
    for (wrong, expected) in WRONG {
        let name = wrong.split('=').next().unwrap_or(wrong);
        assert_named(&client.refused(400, &format!("{events}?{wrong}"), &[])?, name, expected);
    }
    for name in FREE {
        let many = format!("{name}=a&").repeat(101);
        let message = client.refused(400, &format!("{events}?{many}"), &[])?;
        assert_named(&message, name, "more than 100 times");
    }
    for route in ["", "/stream", "/export", "/summary"] {
        let message = client.refused(400, &format!("{events}{route}?colour=red"), &[])?;
        assert!(message.contains("unknown parameter \"colour\""), "{route}: {message}");
        let message = client.refused(400, &format!("{events}{route}?verdict=maybe"), &[])?;
        assert_named(&message, "verdict", "allowed, denied or error");
    }
    let message = client.refused(400, &format!("{events}/export?format=xml"), &[])?;
    assert_named(&message, "format", "csv");
    let message = client.refused(400, "/api/explain?ip=here", &[])?;
    assert_named(&message, "ip", "an IP address");
    client.served(events)?;
    assert!(weir.is_running(), "{}", weir.log());
    Ok(())
}

#[test]
fn tokens_that_do_not_hold() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let weir = Weir::start(&lab.server, "", "")?;
    let good = token(&weir, &["good"])?;
    let reader = Client::new(&lab, good.clone());
    reader.served("/api/status")?;

    let invalid = "unknown, revoked or expired";
    for cut in [&good[..good.len() - 1], &good[..good.len() / 2], &good[1..], "weir_"] {
        let message = Client::new(&lab, cut.to_owned()).refused(401, "/api/status", &[])?;
        assert!(message.contains(invalid), "{message}");
    }
    let none = Client::new(&lab, String::new());
    let message = none.refused(401, "/api/status", &[])?;
    assert!(message.contains("a token is needed"), "{message}");
    let (status, body) = reader.get(&format!("/api/status?token={good}"), &[])?;
    assert!(status == 400 && !body.contains(&good), "{body}");

    let metrics = Client::new(&lab, token(&weir, &["prometheus", "--scope", "metrics"])?);
    metrics.served("/metrics")?;
    let message = metrics.refused(403, "/api/events/proxy", &[])?;
    assert!(message.contains("\"prometheus\" may read /metrics only"), "{message}");

    let brief = Client::new(&lab, token(&weir, &["brief", "--expires", "1s"])?);
    let has_expired = || brief.refused(401, "/api/status", &[]).is_ok_and(|m| m.contains(invalid));
    assert!(holds(SOON, has_expired), "it did not expire");

    weir.run(&["token", "revoke", "good"])?;
    let message = reader.refused(401, "/api/status", &[])?;
    assert!(message.contains(invalid), "{message}");
    metrics.served("/metrics")
}

/// A page of a stranger's that leads its name to a loopback address reads nothing.
#[test]
fn a_foreign_host() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let weir = Weir::start(&lab.server, "", "[api]\ndomain = 'weir.example.com'\n")?;
    let client = Client::new(&lab, token(&weir, &["reader"])?);
    for host in ["evil.example", "weir.example.com.evil.example", "localhost.evil.example", ""] {
        for target in ["/api/status", "/healthz/live"] {
            let header = if host.is_empty() { "Host;".to_owned() } else { format!("Host: {host}") };
            let message = client.refused(421, target, &["-H", &header])?;
            assert!(message.contains("api.domain"), "{host}: {message}");
        }
    }
    let (status, body) = client.get("/api/status", &["-H", "Host: weir.example.com"])?;
    assert!(status == 200, "{body}");
    Ok(())
}
