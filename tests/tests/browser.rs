//! What people see of Weir, in a real browser. `WEIR_SCREENSHOTS=FOLDER` keeps pictures.

use anyhow::{Result, ensure};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::json;
use weir_tests::{
    browser::{Browser, Scripts, key},
    lab::{self, Lab},
    wait::SOON,
    web::{curl::Curl, provider::Provider, routed, secret::hash, site, site_of, target::Target},
    weir::Weir,
};

const PASSWORD: &str = "correct horse";
const PIN: &str = "271828";
const SITE: &str = "https://vault.example.com";

/// A browser on the public side, where the server's names lead to the server.
fn browser(lab: &Lab, scripts: Scripts) -> Result<Option<Browser<'_>>> {
    Browser::for_test(&lab.clients, &lab::SERVER4.to_string(), scripts)
}

/// A service that asks for a password or a PIN, with more lines of its `auth`.
fn locked(name: &str, more: &str) -> Result<String> {
    let (password, pin) = (hash(&[], PASSWORD)?, hash(&["--pin"], PIN)?);
    let auth = format!(
        "[service.{name}.auth]\npassword = {{ hash = '{password}' }}\n\
         pin = {{ hash = '{pin}' }}\n{more}\n"
    );
    Ok(site(name, &format!("{name}.example.com"), &auth))
}

/// No page may need what its own policy forbids.
fn assert_clean(browser: &Browser<'_>) -> Result<()> {
    let complaints = browser.complaints()?;
    let of_policy: Vec<_> =
        complaints.iter().filter(|line| line.contains("Content Security Policy")).collect();
    assert!(of_policy.is_empty(), "{of_policy:?}");
    Ok(())
}

#[test]
fn people_sign_in_and_out_and_are_told_why_not() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _target = Target::start(&lab.server)?;
    let tables = [
        locked("vault", "")?,
        locked("strict", "lockout = { attempts = 1 }")?,
        site("closed", "closed.example.com", "block = ['192.0.2.254']"),
        site_of("down", "down.example.com", "http://127.0.0.1:9", ""),
        routed("part", "part.example.com", &[("/api", "")]),
    ];
    let weir = Weir::start(&lab.server, "", &tables.concat())?;
    let Some(browser) = browser(&lab, Scripts::Run)? else { return Ok(()) };
    sign_in_by_password_and_out(&browser, &weir)?;
    sign_in_by_pin(&browser, &weir)?;
    try_too_often(&browser, &weir)?;
    get_nowhere(&browser, &weir)?;
    assert_clean(&browser)
}

fn sign_in_by_password_and_out(browser: &Browser<'_>, weir: &Weir<'_>) -> Result<()> {
    let place = format!("{SITE}/docs?page=1");
    browser.go(&place)?;
    browser.waits_for("Sign in")?;
    assert_eq!(browser.url()?, place);
    browser.show("login")?;
    browser.fill("#password", "wrong")?;
    browser.click("#password ~ button")?;
    browser.waits_for("wrong")?;
    assert_eq!(browser.focused("id")?, "password");
    browser.show("wrong-password")?;
    browser.fill("#password", PASSWORD)?;
    browser.click("#password ~ button")?;
    let page = browser.waits_for("GET /docs?page=1")?;
    assert!(!page.contains("__Host-"), "the target sees no cookie of Weir's: {page}");
    assert_eq!(browser.url()?, place);
    let record = weir.wait_for_event("path=/docs&status=success", SOON)?;
    assert_eq!(record["auth_method_used"], "password");

    browser.go(&format!("{SITE}/.weir/logout"))?;
    browser.waits_for("Sign out?")?;
    browser.show("logout")?;
    browser.click("button")?;
    browser.waits_for("You are signed out")?;
    browser.show("signed-out")?;
    browser.follow("Sign in again")?;
    browser.waits_for("Sign in with PIN").map(drop)
}

fn sign_in_by_pin(browser: &Browser<'_>, weir: &Weir<'_>) -> Result<()> {
    browser.go(&format!("{SITE}/pin"))?;
    browser.fill("#pin", PIN)?;
    browser.click("#pin ~ button")?;
    browser.waits_for("GET /pin")?;
    let record = weir.wait_for_event("path=/pin&status=success", SOON)?;
    assert_eq!(record["auth_method_used"], "pin");
    Ok(())
}

fn try_too_often(browser: &Browser<'_>, weir: &Weir<'_>) -> Result<()> {
    browser.go("https://strict.example.com")?;
    for (secret, said) in [("one", "That password is wrong"), ("two", "Try again in 15 minutes")] {
        browser.fill("#password", secret)?;
        browser.click("#password ~ button")?;
        browser.waits_for(said)?;
    }
    browser.show("locked-out")?;
    let record = weir.wait_for_event("reason=locked_out", SOON)?;
    assert_eq!(record["status_code"], 429);
    Ok(())
}

fn get_nowhere(browser: &Browser<'_>, weir: &Weir<'_>) -> Result<()> {
    for (host, said, status, reason) in [
        ("closed", "does not answer to the network", 403, "ip_restricted"),
        ("down", "failed here", 502, "backend_unreachable"),
        ("part", "Nothing is published", 404, "unknown_host"),
    ] {
        browser.go(&format!("https://{host}.example.com/page"))?;
        let page = browser.waits_for(said)?;
        let record = weir.wait_for_event(&format!("path=/page&reason={reason}"), SOON)?;
        assert_eq!(record["status_code"], status, "{host}");
        let id = record["request_id"].as_str().unwrap_or("no id");
        assert!(page.contains(id), "{id} is not on the page: {page}");
        browser.show(&status.to_string())?;
    }
    Ok(())
}

#[test]
fn a_keyboard_is_enough_and_scripts_are_not_needed() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _target = Target::start(&lab.server)?;
    let weir = Weir::start(&lab.server, "", &locked("vault", "")?)?;
    let Some(browser) = browser(&lab, Scripts::Blocked)? else { return Ok(()) };
    browser.go("data:text/html,<p>none<script>document.body.textContent='some'</script>")?;
    ensure!(browser.page()? == "none", "scripts run");

    browser.go(SITE)?;
    assert_eq!(browser.focused("id")?, "password");
    browser.types(&format!("{PASSWORD}{}", key::ENTER))?;
    browser.waits_for("GET / HTTP")?;
    browser.go(&format!("{SITE}/.weir/logout"))?;
    browser.types(&format!("{}{}", key::TAB, key::ENTER))?;
    browser.waits_for("You are signed out")?;
    browser.types(&format!("{}{}", key::TAB, key::ENTER))?;
    browser.waits_for("Sign in with PIN")?;
    browser.types(&key::TAB.repeat(2))?;
    assert_eq!(browser.focused("id")?, "pin");
    browser.types(&format!("{PIN}{}", key::ENTER))?;
    browser.waits_for("GET / HTTP")?;
    weir.wait_for_events(1, "auth_method=pin&status=success", SOON)?;
    Ok(())
}

#[test]
fn people_sign_in_at_their_provider() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _target = Target::start(&lab.server)?;
    let mut weir = Weir::install(&lab.server)?;
    let users = json!({
        "alice": { "email": "alice@example.com", "email_verified": true },
        "bob": { "email": "bob@example.com", "email_verified": true },
    });
    let callback = "https://report.example.com/.weir/sso/callback";
    let place = (lab::SERVER4, 9443);
    let directory = weir.path("provider");
    let provider = Provider::for_test(&lab.server, place, &directory, &users, callback)?;
    let Some(provider) = provider else { return Ok(()) };
    let sso = "sso = { provider = 'corp', allowed_emails = ['alice@example.com'] }";
    let auth = format!("[service.report.auth]\n{sso}");
    let both = format!("[service.both.auth]\n{sso}\npassword = {{ hash = '{}' }}", hash(&[], "x")?);
    let tables = [
        provider.table("corp")?,
        site("report", "report.example.com", &auth),
        site("both", "both.example.com", &both),
    ];
    weir.configure("", &tables.concat())?;
    weir.launch()?;
    let Some(browser) = browser(&lab, Scripts::Run)? else { return Ok(()) };
    let report = "https://report.example.com/month?of=may";

    browser.go(report)?;
    browser.waits_for("Who?")?;
    browser.follow("bob")?;
    browser.waits_for("You may not use this site")?;
    browser.show("refused")?;
    let record = weir.wait_for_event("reason=sso_denied&path=/month", SOON)?;
    assert_eq!((&record["user_id"], &record["status_code"]), (&json!("bob"), &json!(403)));
    browser.click("button")?;
    browser.waits_for("You are signed out")?;
    browser.show("signed-out-of-sso")?;

    browser.forget()?;
    browser.go(report)?;
    browser.waits_for("Who?")?;
    browser.follow("alice")?;
    let page = browser.waits_for("GET /month?of=may")?.to_lowercase();
    assert_eq!(browser.url()?, report);
    assert!(page.contains("x-weir-user: alice"), "{page}");
    assert!(page.contains("x-weir-email: alice@example.com"), "{page}");
    let record = weir.wait_for_event("path=/month&status=success", SOON)?;
    assert_eq!(record["auth_method_used"], "oidc");
    assert_eq!(record["user_email"], "alice@example.com");

    browser.go("https://both.example.com")?;
    browser.waits_for("Sign in with corp")?;
    browser.show("login-with-sso")?;
    let way = Curl::new(&lab).with(&["-H", "Accept: text/html"]).get(report)?;
    assert_eq!(way.status, 401);
    let still = way.body.replace("http-equiv=\"refresh\"", "");
    browser.go(&format!("data:text/html;base64,{}", STANDARD.encode(still)))?;
    browser.waits_for("Go on")?;
    browser.show("on-the-way")?;
    Ok(())
}
