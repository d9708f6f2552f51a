//! Sites over HTTP: what clients speak, which site and which route they reach.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};
use serde_json::json;
use weir_tests::{
    lab::{self, Lab},
    ns::run,
    scenario::BACKEND,
    tls::Certificate,
    wait::{SOON, holds},
    web::{assert_fields, curl::Curl, routed, site, target::Target},
    weir::Weir,
};

#[test]
fn a_site_speaks_what_its_client_speaks() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let target = Target::start(&lab.server)?;
    let weir = Weir::start(&lab.server, "", &site("wiki", "wiki.example.com", ""))?;
    for (options, version, tls) in [
        (&["--http1.1"][..], "1.1", "1.3"),
        (&["--http2"], "2", "1.3"),
        (&["--http2", "--tls-max", "1.2"], "2", "1.2"),
        (&["--http1.0"], "1.0", "1.3"),
    ] {
        let curl = Curl::new(&lab).with(options).with(&["--user-agent", "a client"]);
        let answer = curl.get("https://wiki.example.com/a/b?c=d")?;
        assert_eq!(answer.status, 200, "{options:?}: {answer:?}");
        let received = target.last()?;
        assert_eq!(received.line, "GET /a/b?c=d HTTP/1.1");
        assert_eq!(answer.body, received.head(), "{options:?}");
        for (name, value) in [
            ("host", "wiki.example.com"),
            ("user-agent", "a client"),
            ("x-forwarded-for", "198.51.100.2"),
            ("x-real-ip", "198.51.100.2"),
            ("x-forwarded-host", "wiki.example.com"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-port", "443"),
            ("forwarded", "for=198.51.100.2;host=wiki.example.com;proto=https"),
        ] {
            assert_eq!(received.header(name), Some(value), "{options:?}: {name}");
        }
        let id = received.header("x-request-id").context("no id")?;
        let record = weir.wait_for_event(&format!("search={id}"), SOON)?;
        let expected = json!({
            "request_id": id, "service_id": "wiki", "protocol": "http", "verdict": "allowed",
            "method": "GET", "host": "wiki.example.com", "path": "/a/b",
            "url": "wiki.example.com/a/b", "listen_port": 443, "status_code": 200,
            "bytes_upload": 0, "bytes_download": answer.body.len(), "source_ip": "198.51.100.2",
            "auth_method_used": "none", "target": format!("127.0.0.1:{BACKEND}"),
            "tls_version": tls, "http_version": version, "user_agent": "a client",
            "reason": null, "close_reason": null,
        });
        assert_fields(&record, &expected);
    }
    assert_eq!(weir.events("")?.len(), 4, "a connection makes no record of its own");
    Ok(())
}

#[test]
fn requests_reach_the_site_that_they_name() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let target = Target::start(&lab.server)?;
    let tables = routed("wiki", "wiki.example.com", &[("/", "")])
        + &routed("rest", "*.example.com", &[("/", "")]);
    let weir = Weir::start(&lab.server, "", &tables)?;
    for (name, host, route) in [
        ("wiki.example.com", "wiki.example.com", "wiki/"),
        ("wiki.example.com", "WIKI.Example.com", "wiki/"),
        ("wiki.example.com", "wiki.example.com:443", "wiki/"),
        ("wiki.example.com", "wiki.example.com.", "wiki/"),
        ("blog.example.com", "blog.example.com", "rest/"),
        // No name in the handshake: the request's alone counts.
        ("192.0.2.1", "wiki.example.com", "wiki/"),
    ] {
        let header = format!("Host: {host}");
        let answer = Curl::new(&lab).with(&["-H", &header]).get(&format!("https://{name}/"))?;
        assert_eq!(answer.status, 200, "{host}: {answer:?}");
        assert_eq!(target.last()?.header("x-route"), Some(route), "{host}");
    }
    let served = target.received().len();
    for (version, host, status) in [
        ("--http1.1", "example.org", 404),
        ("--http2", "a.b.example.com", 404),
        ("--http1.1", "blog.example.com", 421),
        ("--http2", "blog.example.com", 421),
    ] {
        let header = format!("Host: {host}");
        let curl = Curl::new(&lab).with(&[version, "-H", &header]);
        let answer = curl.get("https://wiki.example.com/x")?;
        assert_eq!(answer.status, status, "{host}: {answer:?}");
        let record = weir.wait_for_event(&format!("search={}", answer.told_id()?), SOON)?;
        let expected = json!({
            "service_id": "", "verdict": "error", "protocol": "http", "reason": "unknown_host",
            "host": host, "status_code": status,
        });
        assert_fields(&record, &expected);
    }
    assert_eq!(target.received().len(), served);
    // Nobody here has that name: there is not even a certificate.
    let output = Curl::new(&lab).output("https://a.b.example.com/")?;
    assert_eq!(output.status.code(), Some(35), "{output:?}");
    let record = weir.wait_for_event("reason=unknown_host&protocol=tls", SOON)?;
    let expected = json!({ "service_id": "", "host": "a.b.example.com", "status_code": 0 });
    assert_fields(&record, &expected);
    Ok(())
}

#[test]
fn the_longest_route_takes_a_request_where_all_read_its_path_alike() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let target = Target::start(&lab.server)?;
    let routes = [("/", ""), ("/api", ""), ("/api/v2", ""), ("/app", "strip_prefix = true")];
    let tables = routed("wiki", "wiki.example.com", &routes)
        + &routed("part", "part.example.com", &[("/part", "")]);
    let weir = Weir::start(&lab.server, "", &tables)?;
    let ask = |path: &str| {
        let curl = Curl::new(&lab).with(&["--path-as-is"]);
        curl.get(&format!("https://wiki.example.com{path}"))
    };
    for (path, route, received) in [
        ("/", "wiki/", "/"),
        ("/apix", "wiki/", "/apix"),
        ("/API", "wiki/", "/API"),
        ("/api", "wiki/api", "/api"),
        ("/api/v2/a?b", "wiki/api/v2", "/api/v2/a?b"),
        ("/api/v21", "wiki/api", "/api/v21"),
        ("/app", "wiki/app", "/"),
        ("/app?a", "wiki/app", "/?a"),
        ("/app/a%2Fb%20c?d=%2F", "wiki/app", "/a%2Fb%20c?d=%2F"),
        // However it is read, it is for the same route.
        ("/x/../y//z", "wiki/", "/x/../y//z"),
    ] {
        assert_eq!(ask(path)?.status, 200, "{path}");
        let last = target.last()?;
        assert_eq!((last.header("x-route"), last.path()), (Some(route), received), "{path}");
    }
    let served = target.received().len();
    for path in
        ["/x/../api", "/%61pi", "/api%2Fv2", "/x/..%2fapi", "/x\\..\\api", "//api", "/app/../x"]
    {
        let answer = ask(path)?;
        assert_eq!(answer.status, 400, "{path}: {answer:?}");
    }
    let records = weir.wait_for_events(7, "reason=bad_request", SOON)?;
    let expected = json!({ "service_id": "wiki", "verdict": "error", "status_code": 400 });
    for record in &records {
        assert_fields(record, &expected);
    }
    let answer = Curl::new(&lab).get("https://part.example.com/")?;
    assert_eq!(answer.status, 404, "{answer:?}");
    let own = ask("/.weir/anything")?;
    assert_eq!(own.status, 404, "{own:?}");
    assert_eq!(target.received().len(), served, "none of them reached the target");
    Ok(())
}

#[test]
fn plain_requests_are_redirected_to_tls() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let target = Target::start(&lab.server)?;
    let blocked = format!("block = ['{}']", lab::BLOCKED4);
    let tables = site("wiki", "wiki.example.com", &blocked)
        + &site("bare", "bare.example.com", "redirect_http = false");
    let weir = Weir::start(&lab.server, "", &tables)?;
    let answer = Curl::new(&lab).with(&["-d", "x"]).get("http://wiki.example.com/a%20b?c=d")?;
    assert_eq!(answer.status, 308, "{answer:?}");
    assert_eq!(answer.header("location"), Some("https://wiki.example.com/a%20b?c=d"));
    let record = weir.wait_for_event("status_code=308", SOON)?;
    let expected = json!({
        "service_id": "wiki", "verdict": "allowed", "listen_port": 80, "method": "POST",
        "path": "/a%20b", "http_version": "1.1", "tls_version": null, "reason": null,
    });
    assert_fields(&record, &expected);
    let denied = Curl::from(&lab, lab::BLOCKED4).get("http://wiki.example.com/")?;
    assert_eq!(denied.status, 403, "{denied:?}");
    for name in ["bare.example.com", "nobody.example.com"] {
        assert_eq!(Curl::new(&lab).get(&format!("http://{name}/"))?.status, 404, "{name}");
    }
    assert_eq!(target.received(), []);
    Ok(())
}

/// Whether what the server shows for `name` is for it, by OpenSSL.
fn shows_certificate_for(lab: &Lab, name: &str) -> Result<bool> {
    let line = format!(
        "openssl s_client -connect {}:443 -servername {name} </dev/null 2>/dev/null |
         openssl x509 -noout -checkhost {name}",
        lab::SERVER4
    );
    let said = run(lab.clients.command("sh").args(["-c", &line]))?;
    Ok(said.contains("does match certificate"))
}

/// Puts a new pair for `name` into a directory, as one who renews certificates does.
fn renew(directory: &Path, name: &str) -> Result<Certificate> {
    let made = tempfile::tempdir()?;
    let new = Certificate::new(made.path(), &[name])?;
    let (certificate, key) = (directory.join("site.crt"), directory.join("site.key"));
    fs::copy(&new.key, &key)?;
    fs::copy(&new.certificate, &certificate)?;
    Ok(Certificate { certificate, key })
}

#[test]
fn certificates_are_of_weirs_own_making_or_from_files_that_change() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _target = Target::start(&lab.server)?;
    let mut weir = Weir::install(&lab.server)?;
    let certs = weir.path("certs");
    fs::create_dir(&certs)?;
    let first = renew(&certs, "wiki.example.com")?;
    let tables = format!("[tls]\ncert_dir = '{}'\n", certs.display())
        + &site("wiki", "wiki.example.com", "")
        + &site("own", "own.example.com", "");
    weir.configure("", &tables)?;
    weir.launch()?;
    let verified = |trusted: &Path| {
        let answer = Curl::new(&lab).verifying(trusted).get("https://wiki.example.com/");
        answer.is_ok_and(|answer| answer.status == 200)
    };
    let old = weir.path("old.crt");
    fs::copy(&first.certificate, &old)?;
    ensure!(verified(&old), "the pair's certificate is not used");
    ensure!(shows_certificate_for(&lab, "own.example.com")?, "not one of its own");
    let second = renew(&certs, "wiki.example.com")?;
    ensure!(holds(SOON, || verified(&second.certificate)), "the new pair is not taken up");
    ensure!(!verified(&old), "the old certificate is still in use");
    Ok(())
}
