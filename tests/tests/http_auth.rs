//! Who may use a site: each outcome, what is recorded of it, and what the target learns.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use weir_tests::{
    lab::{self, Lab},
    scenario::BACKEND,
    wait::SOON,
    web::{
        assert_fields,
        curl::{Answer, Curl},
        secret::hash,
        site,
        target::{Received, Target},
    },
    weir::Weir,
};

const URL: &str = "https://vault.example.com";
/// Where the login page sends its form.
const LOGIN: &str = "/.weir/login";
const PASSWORD: &str = "correct horse";
const PIN: &str = "271828";
/// A key of 256 bits and what `weir hash --generate` says of it.
const KEY: &str = "61693a0e07beb4d028323f00e6b50f670b1a964f4f6cd9db1de2b05025630885";
const KEY_HASH: &str = "sha256:2a2f67b7c7b0b25937f4cd63cee811379579fe7c45adf994d2f40f2ae4d286a6";

/// The service `vault`, which asks for any of several secrets.
fn vault(password: &str, pin: &str) -> String {
    let lines = format!(
        "[[service.vault.route]]\npath = '/hook'\npublic = true\n\
         target = 'http://127.0.0.1:{BACKEND}'\n\
         [service.vault.auth]\npassword = {{ hash = '{password}' }}\npin = {{ hash = '{pin}' }}\n\
         headers = [{{ name = 'X-Api-Key', hash = '{KEY_HASH}' }},\n\
           {{ name = 'X-Word', hash = '{password}' }}]\n\
         lockout = {{ attempts = 3 }}\n"
    );
    site("vault", "vault.example.com", &lines)
}

/// A site, its target and browsers.
struct Scene<'a> {
    lab: &'a Lab,
    weir: Weir<'a>,
    target: Target,
}

impl<'a> Scene<'a> {
    fn start(lab: &'a Lab, tables: &str) -> Result<Self> {
        let target = Target::start(&lab.server)?;
        Ok(Self { lab, weir: Weir::start(&lab.server, "", tables)?, target })
    }

    /// A file with cookies of a browser.
    fn jar(&self, name: &str) -> String {
        self.weir.path(name).to_string_lossy().into_owned()
    }

    /// A browser that keeps its cookies in a file.
    fn browser(&self, from: std::net::IpAddr, jar: &str) -> Curl {
        let jar = self.jar(jar);
        Curl::from(self.lab, from).with(&["--cookie", &jar, "--cookie-jar", &jar])
    }

    /// Sends the form of the login page.
    fn sign_in(&self, from: std::net::IpAddr, jar: &str, secret: (&str, &str)) -> Result<Answer> {
        let (field, value) = secret;
        let (origin, value) = (format!("Origin: {URL}"), format!("{field}={value}"));
        let form = ["-H", &origin, "--data-urlencode", &value, "--data", "return_to=/a?b=c"];
        self.browser(from, jar).with(&form).get(&format!("{URL}{LOGIN}"))
    }

    /// Asserts that a request for that path is recorded as refused so, and that the target
    /// heard nothing of it.
    fn assert_refused(
        &self,
        answer: &Answer,
        path: &str,
        (reason, method): (&str, &str),
    ) -> Result<()> {
        let id = answer.told_id()?;
        let record = self.weir.wait_for_event(&format!("search={id}"), SOON)?;
        let expected = json!({
            "service_id": "vault", "verdict": "denied", "status_code": answer.status, "path": path,
            "reason": reason, "auth_method_used": method, "user_id": null, "user_email": null,
            "bytes_download": 0, "target": null,
        });
        assert_fields(&record, &expected);
        let received = self.target.received();
        assert!(received.iter().all(|received| received.header("x-request-id") != Some(id)));
        Ok(())
    }

    /// Asserts that the last request that the target received is recorded so, and had no
    /// headers but those of every request and these.
    fn assert_served(&self, answer: &Answer, method: &str, others: &[&str]) -> Result<Received> {
        assert_eq!(answer.status, 200, "{answer:?}");
        let received = self.target.last()?;
        let id = received.header("x-request-id").context("no id")?.to_owned();
        ensure!(answer.body.contains(&id), "another request was served: {answer:?}");
        let record = self.weir.wait_for_event(&format!("search={id}"), SOON)?;
        let expected = json!({
            "service_id": "vault", "verdict": "allowed", "reason": null, "status_code": 200,
            "auth_method_used": method, "user_id": null, "user_email": null,
        });
        assert_fields(&record, &expected);
        received.assert_headers(others);
        Ok(received)
    }
}

/// What a client may claim to be, in every way that a target might read it.
const CLAIMS: [&str; 8] = [
    "-H",
    "X-Weir-User: root",
    "-H",
    "X_Weir_User: root",
    "-H",
    "x-weir_groups: admins",
    "-H",
    "X_Api_Key: mine",
];

#[test]
fn a_password_or_a_pin_opens_a_session() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let (password, pin) = (hash(&[], PASSWORD)?, hash(&["--pin"], PIN)?);
    let scene = Scene::start(&lab, &vault(&password, &pin))?;
    for (field, wrong, right, reason) in
        [("password", "wrong", PASSWORD, "invalid_password"), ("pin", "314159", PIN, "invalid_pin")]
    {
        let path = format!("/{field}");
        let asked = scene.browser(lab::DE4, field).get(&format!("{URL}{path}?a=b"))?;
        assert_eq!(asked.status, 401, "{asked:?}");
        scene.assert_refused(&asked, &path, ("login_required", "none"))?;
        let refused = scene.sign_in(lab::DE4, field, (field, wrong))?;
        assert_eq!(refused.status, 401, "{refused:?}");
        scene.assert_refused(&refused, LOGIN, (reason, field))?;
        assert_eq!(refused.header("set-cookie"), None);

        let opened = scene.sign_in(lab::DE4, field, (field, right))?;
        assert_eq!(opened.status, 303, "{opened:?}");
        assert_eq!(opened.header("location"), Some("/a?b=c"));
        let cookies = opened.all("set-cookie");
        let session = cookies.iter().find(|cookie| cookie.starts_with("__Host-weir="));
        let session = session.context("no session")?;
        for attribute in ["; Path=/", "; HttpOnly", "; SameSite=Lax", "; Secure"] {
            ensure!(session.contains(attribute), "no {attribute:?} in {session}");
        }
        let query = format!("path={LOGIN}&status_code=303&auth_method={field}");
        let record = scene.weir.wait_for_event(&query, SOON)?;
        let expected = json!({ "verdict": "allowed", "reason": null, "method": "POST" });
        assert_fields(&record, &expected);

        // Cookies of the site's own go along in the header that Weir's are in.
        let own = std::fs::read_to_string(scene.jar(field))?;
        let ours: Vec<String> = own.lines().filter_map(weirs_cookie).collect();
        ensure!(ours.len() >= 2, "no session or no device in {own}");
        let cookie = format!("Cookie: a=1; {}; b=\"2 3\";c", ours.join("; "));
        let curl = Curl::new(&lab).with(&["-H", &cookie]).with(&CLAIMS);
        let received = scene.assert_served(&curl.get(URL)?, field, &["cookie"])?;
        assert_eq!(received.header("cookie"), Some("a=1; b=\"2 3\";c"));
    }
    assert_eq!(scene.target.received().len(), 2, "nothing else reached the target");

    // Another secret ends the sessions that the old one opened, and no other.
    scene.weir.configure("", &vault(&hash(&[], "another")?, &pin))?;
    scene.weir.reload()?;
    let asked = scene.browser(lab::DE4, "password").get(&format!("{URL}/changed"))?;
    assert_eq!(asked.status, 401, "{asked:?}");
    scene.assert_refused(&asked, "/changed", ("login_required", "none"))?;
    scene.assert_served(&scene.browser(lab::DE4, "pin").get(URL)?, "pin", &[])?;

    // Signing out ends it.
    let origin = format!("Origin: {URL}");
    let out = scene.browser(lab::DE4, "pin").with(&["-H", &origin, "-X", "POST"]);
    let out = out.get(&format!("{URL}/.weir/logout"))?;
    ensure!(out.status < 400, "{out:?}");
    assert_eq!(scene.browser(lab::DE4, "pin").get(URL)?.status, 401);
    Ok(())
}

/// A cookie of Weir's in a line of curl's jar, as a header has it.
fn weirs_cookie(line: &str) -> Option<String> {
    let (rest, value) = line.rsplit_once('\t')?;
    let (_, name) = rest.rsplit_once('\t')?;
    name.starts_with("__Host-weir").then(|| format!("{name}={value}"))
}

#[test]
fn a_header_opens_a_site_for_programs() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let (password, pin) = (hash(&[], PASSWORD)?, hash(&["--pin"], PIN)?);
    let scene = Scene::start(&lab, &vault(&password, &pin))?;
    let ask = |from, headers: &[String]| -> Result<Answer> {
        let headers: Vec<&str> = headers.iter().flat_map(|header| ["-H", header]).collect();
        Curl::from(scene.lab, from).with(&headers).get(URL)
    };
    let (key, word) = (format!("X-Api-Key: {KEY}"), format!("X-Word: {PASSWORD}"));
    for right in [&key, &word, &word] {
        let answer = ask(lab::DE4, &[right.clone(), "X_Weir_User: root".to_owned()])?;
        scene.assert_served(&answer, "header", &[])?;
    }
    for (from, wrong) in [
        (lab::DE4, vec![format!("X-Api-Key: {KEY}0")]),
        (lab::FR4, vec!["X-Word: wrong".to_owned()]),
        // Which one counts would be anybody's guess.
        (lab::DE4, vec![key.clone(), "X-Api-Key: x".to_owned()]),
    ] {
        let answer = ask(from, &wrong)?;
        assert_eq!(answer.status, 401, "{wrong:?}: {answer:?}");
        scene.assert_refused(&answer, "/", ("invalid_header", "header"))?;
    }
    // A route that is public asks nobody, and its target learns no key all the same.
    let public = Curl::new(&lab).with(&["-H", &key]).with(&CLAIMS).get(&format!("{URL}/hook"))?;
    scene.assert_served(&public, "none", &[])?;
    // Other paths of Weir's are never the target's.
    let ours = Curl::new(&lab).with(&["-H", &key]).get(&format!("{URL}/.weir/x"))?;
    assert_eq!(ours.status, 404, "{ours:?}");
    Ok(())
}

#[test]
fn who_guesses_is_locked_out_and_who_is_known_is_not() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let (password, pin) = (hash(&[], PASSWORD)?, hash(&["--pin"], PIN)?);
    let scene = Scene::start(&lab, &vault(&password, &pin))?;
    // A form of another site, or of none, is not looked at.
    let foreign = ["-H", "Origin: https://evil.test", "-d", "password=correct horse"];
    for options in [&foreign[..], &foreign[2..]] {
        let answer = Curl::new(&lab).with(options).get(&format!("{URL}{LOGIN}"))?;
        assert_eq!(answer.status, 400, "{answer:?}");
        let record = scene.weir.wait_for_event(&format!("search={}", answer.told_id()?), SOON)?;
        assert_fields(&record, &json!({ "reason": "bad_request", "verdict": "error" }));
    }
    assert_eq!(scene.sign_in(lab::FR4, "known", ("password", PASSWORD))?.status, 303);
    assert_eq!(scene.sign_in(lab::FR4, "left", ("password", PASSWORD))?.status, 303);
    for guess in ["one", "two", "three"] {
        let wrong = scene.sign_in(lab::FR4, "guesser", ("password", guess))?;
        assert_eq!(wrong.status, 401, "{guess}: {wrong:?}");
    }
    for guess in ["four", PASSWORD] {
        let locked = scene.sign_in(lab::FR4, "guesser", ("password", guess))?;
        assert_eq!(locked.status, 429, "{guess}: {locked:?}");
        let seconds: u64 = locked.header("retry-after").context("no Retry-After")?.parse()?;
        ensure!((1..=900).contains(&seconds), "{seconds}");
        scene.assert_refused(&locked, LOGIN, ("locked_out", "password"))?;
    }
    // A session goes on, a browser that signed in before may again, and a key cannot be guessed.
    scene.assert_served(&scene.browser(lab::FR4, "known").get(URL)?, "password", &[])?;
    forget_session(Path::new(&scene.jar("left")))?;
    assert_eq!(scene.browser(lab::FR4, "left").get(URL)?.status, 401);
    assert_eq!(scene.sign_in(lab::FR4, "left", ("password", PASSWORD))?.status, 303);
    let key = format!("X-Api-Key: {KEY}");
    scene.assert_served(
        &Curl::from(&lab, lab::FR4).with(&["-H", &key]).get(URL)?,
        "header",
        &[],
    )?;
    // Nor does it matter to others.
    assert_eq!(scene.sign_in(lab::DE4, "other", ("password", PASSWORD))?.status, 303);
    Ok(())
}

/// Takes the session out of a jar, and leaves what tells the browser.
fn forget_session(jar: &Path) -> Result<()> {
    let all = std::fs::read_to_string(jar)?;
    let kept: Vec<&str> = all.lines().filter(|line| !line.contains("\t__Host-weir\t")).collect();
    let kept = kept.join("\n") + "\n";
    ensure!(kept.contains("__Host-weir-device"), "no device in {all}");
    Ok(std::fs::write(jar, kept)?)
}
