//! Single sign-on at a real provider: what is recorded of each outcome, and what the target
//! learns.

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use weir_tests::{
    lab::{self, Lab},
    wait::SOON,
    web::{
        assert_fields,
        curl::{Answer, Curl},
        provider::Provider,
        site,
        target::Target,
    },
    weir::Weir,
};

const URL: &str = "https://report.example.com";
const PORT: u16 = 9443;
/// Nobody listens there.
const NOBODY: u16 = 9444;
/// What a client may claim to be, in every way that a target might read it.
const CLAIMS: [&str; 8] = [
    "-H",
    "X-Weir-User: root",
    "-H",
    "X_Weir_User: root",
    "-H",
    "X_Weir_Groups: admins",
    "-H",
    "x-weir_email: root@example.com",
];

/// A browser that keeps its cookies in a file.
struct Browser<'a> {
    lab: &'a Lab,
    jar: String,
}

impl<'a> Browser<'a> {
    fn new(lab: &'a Lab, weir: &Weir<'_>, name: &str) -> Self {
        Self { lab, jar: weir.path(name).to_string_lossy().into_owned() }
    }

    fn get(&self, url: &str, more: &[&str]) -> Result<Answer> {
        let kept = ["--cookie", &self.jar, "--cookie-jar", &self.jar, "-H", "Accept: text/html"];
        Curl::new(self.lab).with(&kept).with(more).get(url)
    }

    /// Goes where it is sent: the last place, and the answer there.
    fn follow(&self, url: &str) -> Result<(String, Answer)> {
        let mut url = url.to_owned();
        for _ in 0..10 {
            let answer = self.get(&url, &[])?;
            let Some(place) = answer.header("location") else { return Ok((url, answer)) };
            let from = if place.starts_with('/') { origin(&url)? } else { "" };
            url = format!("{from}{place}");
        }
        bail!("no end of redirects at {url}")
    }

    /// Asks for a page, and signs on as that user on the way.
    fn sign_on(&self, user: &str, path: &str) -> Result<Answer> {
        let start = format!("{URL}/.weir/sso/start?return_to={path}");
        let (page, asked) = self.follow(&start)?;
        ensure!(asked.body.contains("Who?"), "{page}: {asked:?}");
        Ok(self.follow(&format!("{page}?user={user}"))?.1)
    }
}

fn origin(url: &str) -> Result<&str> {
    let host = url.strip_prefix("https://").context("no https://")?;
    let end = host.find('/').unwrap_or(host.len());
    Ok(&url[..url.len() - host.len() + end])
}

/// Services of a provider that is there, and of one that is not.
fn tables(provider: &Provider) -> Result<String> {
    let auth = |name: &str, provider: &str| {
        let lines = format!(
            "[service.{name}.auth]\n\
             sso = {{ provider = '{provider}', allowed_groups = ['staff'] }}"
        );
        site(name, &format!("{name}.example.com"), &lines)
    };
    let away = provider.table("away")?.replace(&PORT.to_string(), &NOBODY.to_string());
    Ok([provider.table("corp")?, away, auth("report", "corp"), auth("away", "away")].concat())
}

/// Asserts what is recorded of a request that was turned away.
fn assert_recorded(weir: &Weir<'_>, answer: &Answer, id: &str, expected: &Value) -> Result<()> {
    let record = weir.wait_for_event(&format!("search={id}"), SOON)?;
    assert_eq!(record["status_code"], answer.status, "{record}");
    assert_eq!(record["verdict"], "denied", "{record}");
    assert_fields(&record, expected);
    Ok(())
}

#[test]
fn each_outcome_is_recorded_and_the_target_learns_who_it_is() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let target = Target::start(&lab.server)?;
    let mut weir = Weir::install(&lab.server)?;
    let users = json!({
        "alice": { "email": "alice@example.com", "email_verified": true,
                   "groups": ["staff", "on call"] },
        "bob": { "email": "bob@example.com", "email_verified": true, "groups": ["guests"] },
    });
    let place = (lab::SERVER4, PORT);
    let (directory, callback) = (weir.path("provider"), format!("{URL}/.weir/sso/callback"));
    let provider = Provider::for_test(&lab.server, place, &directory, &users, &callback)?;
    let Some(provider) = provider else { return Ok(()) };
    weir.configure("", &tables(&provider)?)?;
    weir.launch()?;

    turned_away(&lab, &weir)?;
    assert_eq!(target.received(), []);
    let alice = Browser::new(&lab, &weir, "alice");
    let answer = alice.sign_on("alice", "/month")?;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_target_knows_alice(&alice, &weir, &target)
}

fn turned_away(lab: &Lab, weir: &Weir<'_>) -> Result<()> {
    let asked = Curl::new(lab).get(&format!("{URL}/month"))?;
    assert_eq!(asked.status, 401, "{asked:?}");
    let expected = json!({
        "service_id": "report", "path": "/month", "reason": "missing_sso_session",
        "auth_method_used": "none", "user_id": null,
    });
    assert_recorded(weir, &asked, asked.told_id()?, &expected)?;

    let start = "https://away.example.com/.weir/sso/start?return_to=/month";
    let failed = Curl::new(lab).get(start)?;
    assert_eq!(failed.status, 503, "{failed:?}");
    ensure!(failed.header("retry-after").is_some(), "{failed:?}");
    let expected = json!({
        "service_id": "away", "path": "/.weir/sso/start", "reason": "missing_sso_session",
        "auth_method_used": "oidc", "user_id": null,
    });
    assert_recorded(weir, &failed, failed.told_id()?, &expected)?;

    let bob = Browser::new(lab, weir, "bob");
    let refused = bob.sign_on("bob", "/bobs")?;
    assert_eq!(refused.status, 403, "{refused:?}");
    let record = weir.wait_for_event("path=/bobs&reason=sso_denied", SOON)?;
    let expected = json!({
        "service_id": "report", "auth_method_used": "oidc", "user_id": "bob",
        "user_email": "bob@example.com",
    });
    let id = record["request_id"].as_str().context("no id")?;
    ensure!(refused.body.contains(id), "{id} is not on the page: {refused:?}");
    assert_recorded(weir, &refused, id, &expected)
}

fn assert_target_knows_alice(alice: &Browser<'_>, weir: &Weir<'_>, target: &Target) -> Result<()> {
    let answer = alice.get(&format!("{URL}/claims"), &CLAIMS)?;
    assert_eq!(answer.status, 200, "{answer:?}");
    let received = target.last()?;
    assert_eq!(received.path(), "/claims");
    received.assert_headers(&["x-weir-email", "x-weir-groups", "x-weir-user"]);
    assert_eq!(received.header("x-weir-email"), Some("alice@example.com"));
    assert_eq!(received.header("x-weir-groups"), Some("staff,on%20call"));
    assert_eq!(received.header("x-weir-user"), Some("alice"));
    let record = weir.wait_for_event("path=/claims", SOON)?;
    let expected = json!({
        "service_id": "report", "verdict": "allowed", "status_code": 200, "reason": null,
        "auth_method_used": "oidc", "user_id": "alice", "user_email": "alice@example.com",
    });
    assert_fields(&record, &expected);
    Ok(())
}
