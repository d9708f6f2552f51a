//! Requests that two servers might read differently: Weir refuses them, or makes one
//! request of them that nobody can misread.

use anyhow::{Context, Result};
use weir_tests::{
    capture::{Capture, PLAIN, TLS, services},
    http2::{DATA, END_HEADERS, END_STREAM, Ending, HEADERS, Http2, fields},
    lab::Lab,
    talk::talk,
    wait::SOON,
};

/// What follows each form on its connection: it is read as a request of its own or not at
/// all.
const NEXT: &str = "GET /next HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n";
/// That, as the target gets it.
const NEXT_THERE: &str = "GET /next HTTP/1.1\r\nhost: app.test\r\n\r\n";
/// What no form may make a request of.
const HIDDEN: &str = "GET /hidden HTTP/1.1\r\nHost: app.test\r\n\r\n";
/// What Weir itself tells targets.
const OURS: [&str; 5] = ["x-forwarded-", "forwarded: ", "x-real-ip: ", "via: ", "x-request-id: "];
const HELLO: &str = "5\r\nhello\r\n0\r\n\r\n";

/// What Weir makes of a form.
#[derive(Clone, Debug)]
enum Outcome {
    /// It refuses it so.
    Refused(u16),
    /// The target gets this, and the connection goes on.
    One(String),
    /// The target gets this, and nothing after it is read: its length was told twice.
    Last(String),
    /// It closes the connection without an answer.
    Closed,
}

use Outcome::{Closed, Last, One, Refused};

#[derive(Clone)]
struct Form {
    name: &'static str,
    bytes: Vec<u8>,
    outcome: Outcome,
}

fn form(name: &'static str, bytes: impl Into<Vec<u8>>, outcome: Outcome) -> Form {
    Form { name, bytes: bytes.into(), outcome }
}

/// A request with some header lines after its host, and a body.
fn post(name: &'static str, lines: &str, body: &str, outcome: Outcome) -> Form {
    form(name, format!("POST / HTTP/1.1\r\nHost: app.test\r\n{lines}\r\n{body}"), outcome)
}

/// A request in chunks.
fn chunked(name: &'static str, body: &str, outcome: Outcome) -> Form {
    post(name, "Transfer-Encoding: chunked\r\n", body, outcome)
}

/// A request with some header lines that the target gets with a body of its own framing.
fn there(lines: &str, body: &str) -> String {
    format!("POST / HTTP/1.1\r\nhost: app.test\r\n{lines}\r\n{body}")
}

fn hello_in_chunks() -> String {
    there("transfer-encoding: chunked\r\n", HELLO)
}

fn hello() -> String {
    there("content-length: 5\r\n", "hello")
}

fn lengths() -> Vec<Form> {
    let hidden = format!("0\r\n\r\n{HIDDEN}");
    let [before, after] = ["", "Transfer-Encoding: chunked\r\n"];
    let both = format!("{before}Content-Length: {}\r\n{after}", hidden.len());
    let short = format!("{after}Content-Length: 4\r\n");
    let empty = there("transfer-encoding: chunked\r\n", "0\r\n\r\n");
    let equal = "Content-Length: 5\r\nContent-Length: 5\r\n";
    let bad = |name, length: &str| {
        post(name, &format!("Content-Length: {length}\r\n"), "hello", Refused(400))
    };
    vec![
        post("CL.TE", &both, &hidden, Last(empty)),
        post("TE.CL", &short, HELLO, Last(hello_in_chunks())),
        post("two equal lengths", equal, "hello", One(hello())),
        post("two lengths", "Content-Length: 5\r\nContent-Length: 6\r\n", "hello", Refused(400)),
        bad("a list of lengths", "5, 5"),
        bad("a signed length", "+5"),
        bad("a negative length", "-5"),
        bad("a length of two words", "5 5"),
        bad("a hexadecimal length", "0x5"),
        bad("an empty length", ""),
        bad("a decimal length", "5.0"),
        bad("a length of 65 bits", "18446744073709551616"),
        bad("a length of 200 digits", &"1".repeat(200)),
        post(
            "the longest length",
            "Content-Length: 18446744073709551615\r\n",
            "hello",
            Refused(431),
        ),
        post(
            "a length that Connection names",
            "Connection: content-length, host\r\nContent-Length: 5\r\n",
            "hello",
            One(hello()),
        ),
    ]
}

fn codings() -> Vec<Form> {
    let coding = |name, line: &str, outcome| post(name, &format!("{line}\r\n"), HELLO, outcome);
    let bad = |name, line: &str| coding(name, line, Refused(400));
    vec![
        bad("another coding", "Transfer-Encoding: xchunked"),
        bad("a blank before the colon", "Transfer-Encoding : chunked"),
        bad("a folded line", "X: y\r\n Transfer-Encoding: chunked"),
        bad("a folded value", "Transfer-Encoding:\r\n chunked"),
        bad("a vertical tab", "Transfer-Encoding: \x0bchunked"),
        bad("a NUL", "Transfer-Encoding: chunked\0"),
        bad("a lone CR", "X: y\rTransfer-Encoding: chunked"),
        bad(
            "a coding after the chunks",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        ),
        bad(
            "a coding before the chunks",
            "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
        ),
        bad("two codings", "Transfer-Encoding: gzip, chunked"),
        bad("chunks in chunks", "Transfer-Encoding: chunked, chunked"),
        bad("a quoted coding", "Transfer-Encoding: \"chunked\""),
        coding("a tab, capitals", "Transfer-Encoding:\tCHUNKED \t", One(hello_in_chunks())),
        coding(
            "a lone LF",
            "X: y\nTransfer-Encoding: chunked",
            One(there("x: y\r\ntransfer-encoding: chunked\r\n", HELLO)),
        ),
        form(
            "chunks of HTTP/1.0",
            format!(
                "POST / HTTP/1.0\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n{HELLO}"
            ),
            Refused(400),
        ),
    ]
}

fn chunks() -> Vec<Form> {
    let bad = |name, body: &str| chunked(name, body, Refused(400));
    let trailers =
        "5\r\nhello\r\n0\r\nHost: b.test\r\nContent-Length: 9\r\nX-Weir-User: root\r\n\r\n";
    vec![
        chunked("an extension", "5;a=b\r\nhello\r\n0\r\n\r\n", One(hello_in_chunks())),
        chunked("trailers", trailers, One(hello_in_chunks())),
        bad("lone LFs", "5\nhello\n0\n\n"),
        bad("a lone LF in an extension", "5;a=\"\n\"\r\nhello\r\n0\r\n\r\n"),
        bad("a hexadecimal size", "0x5\r\nhello\r\n0\r\n\r\n"),
        bad("a negative size", "-5\r\nhello\r\n0\r\n\r\n"),
        bad("a signed size", "+5\r\nhello\r\n0\r\n\r\n"),
        bad("no size", "\r\nhello\r\n0\r\n\r\n"),
        bad("a size of 68 bits", "10000000000000005\r\nhello\r\n0\r\n\r\n"),
        bad("a chunk that is too long", "5\r\nhello!\r\n0\r\n\r\n"),
        bad("a chunk without an end", "5\r\nhello0\r\n\r\n"),
        bad("an extension without an end", &format!("5;{}", "a".repeat(100_000))),
        bad("trailers without an end", &format!("0\r\n{}", "a: b\r\n".repeat(20_000))),
    ]
}

fn hosts() -> Vec<Form> {
    let bad = |name, head: &str| form(name, format!("{head}\r\n\r\n"), Refused(400));
    vec![
        bad("two hosts", "GET / HTTP/1.1\r\nHost: app.test\r\nHost: b.test"),
        bad("the host twice", "GET / HTTP/1.1\r\nHost: app.test\r\nHost: app.test"),
        bad("a list of hosts", "GET / HTTP/1.1\r\nHost: app.test, b.test"),
        bad("no host", "GET / HTTP/1.1"),
        bad("an empty host", "GET / HTTP/1.1\r\nHost:"),
        bad("a user", "GET / HTTP/1.1\r\nHost: a@app.test"),
        bad("a path in the host", "GET / HTTP/1.1\r\nHost: app.test/x"),
        bad("a blank in the host", "GET / HTTP/1.1\r\nHost: app.test b.test"),
        bad("an absolute form of another host", "GET http://b.test/ HTTP/1.1\r\nHost: app.test"),
        bad("a host alone", "GET app.test HTTP/1.1\r\nHost: app.test"),
        form(
            "an absolute form",
            "GET http://app.test/x?y HTTP/1.1\r\nHost: app.test\r\n\r\n",
            One("GET /x?y HTTP/1.1\r\nhost: app.test\r\n\r\n".to_owned()),
        ),
        form(
            "CONNECT",
            "CONNECT app.test:443 HTTP/1.1\r\nHost: app.test:443\r\n\r\n",
            Refused(405),
        ),
    ]
}

fn heads() -> Vec<Form> {
    let bad = |name, head: &str| form(name, head, Refused(400));
    let long = "a".repeat(70_000);
    let large = |name, head: String| form(name, head, Refused(431));
    let lines = "X: y\r\n".repeat(200);
    vec![
        bad("HTTP/0.9", "GET /\r\n\r\n"),
        form("HTTP/2 without TLS", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Closed),
        bad("a version that is none", "GET / HTTP/1.9\r\nHost: app.test\r\n\r\n"),
        bad("a blank in the path", "GET /a b HTTP/1.1\r\nHost: app.test\r\n\r\n"),
        bad("a NUL in the path", "GET /\0 HTTP/1.1\r\nHost: app.test\r\n\r\n"),
        bad("a name that is none", "GET / HTTP/1.1\r\nHost: app.test\r\na(b: c\r\n\r\n"),
        bad("a line without a colon", "GET / HTTP/1.1\r\nHost: app.test\r\nabc\r\n\r\n"),
        bad("TLS", "\x16\x03\x01\x02\0\x01\0"),
        form(
            "empty lines ahead",
            "\r\n\r\nGET / HTTP/1.1\r\nHost: app.test\r\n\r\n",
            One("GET / HTTP/1.1\r\nhost: app.test\r\n\r\n".to_owned()),
        ),
        large("a long path", format!("GET /{long} HTTP/1.1\r\nHost: app.test\r\n\r\n")),
        large("a long line", format!("GET / HTTP/1.1\r\nHost: app.test\r\nX: {long}\r\n\r\n")),
        large("many lines", format!("GET / HTTP/1.1\r\nHost: app.test\r\n{lines}\r\n")),
    ]
}

/// A request as the target got it, without what Weir says itself.
fn shown(request: &[u8]) -> String {
    let text = String::from_utf8_lossy(request);
    let is_ours = |line: &str| OURS.iter().any(|ours| line.starts_with(ours));
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let lines: Vec<&str> = head.split("\r\n").filter(|line| !is_ours(line)).collect();
    format!("{}\r\n\r\n{body}", lines.join("\r\n"))
}

/// What the target got.
fn requests(target: &Capture) -> Vec<String> {
    target.take().iter().map(|all| shown(all)).collect()
}

/// What the target gets and the client hears of a form.
fn expected(outcome: &Outcome) -> (Vec<String>, Vec<u16>) {
    let next = || NEXT_THERE.to_owned();
    match outcome {
        Refused(status) => (vec![], vec![*status]),
        One(request) => (vec![request.clone(), next()], vec![200, 200]),
        Last(request) => (vec![request.clone()], vec![200]),
        Closed => (vec![], vec![]),
    }
}

#[test]
fn nobody_can_misread_what_a_target_gets() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let target = Capture::start(&lab.server)?;
    let weir = services(&lab, &target)?;
    let forms = [lengths(), codings(), chunks(), hosts(), heads()].concat();
    for form in &forms {
        let bytes = [&form.bytes, NEXT.as_bytes()].concat();
        let answers = talk(&lab.server, PLAIN, &bytes).context(form.name)?;
        assert_eq!((requests(&target), answers.statuses), expected(&form.outcome), "{}", form.name);
    }
    // Each of them made a record.
    let refused = forms.iter().filter(|form| matches!(form.outcome, Refused(_) | Closed));
    let records = weir.wait_for_events(refused.count(), "reason=bad_request", SOON)?;
    assert!(records.iter().all(|record| record["verdict"] == "error"), "{records:?}");
    Ok(())
}

/// The lines that a request over HTTP/2 begins with.
const PSEUDO: [(&str, &str); 4] =
    [(":method", "POST"), (":scheme", "https"), (":authority", "app.test"), (":path", "/")];

/// Sends a request on a connection of its own; what becomes of it.
fn request(lab: &Lab, lines: &[(&str, &str)], body: &str) -> Result<Ending> {
    let mut connection = Http2::connect(&lab.server, TLS, "app.test")?;
    connection.send(HEADERS, END_HEADERS, 1, &fields(lines))?;
    connection.send(DATA, END_STREAM, 1, body.as_bytes())?;
    connection.ending(1)
}

#[test]
fn what_http2_forbids_reaches_no_target() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let target = Capture::start(&lab.server)?;
    let _weir = services(&lab, &target)?;
    let there = |ending| match ending {
        Ending::Status(200) => vec![hello()],
        _ => vec![],
    };
    // More lines, and what becomes of the request.
    let more: [(&[(&str, &str)], Ending); 18] = [
        (&[("connection", "close")], Ending::Reset),
        (&[("transfer-encoding", "chunked")], Ending::Reset),
        (&[("keep-alive", "1")], Ending::Reset),
        (&[("upgrade", "h2c")], Ending::Reset),
        (&[("proxy-connection", "close")], Ending::Reset),
        (&[("te", "gzip")], Ending::Reset),
        (&[("content-length", "4")], Ending::Reset),
        (&[("content-length", "6")], Ending::Reset),
        (&[("content-length", "5"), ("content-length", "6")], Ending::Reset),
        (&[("content-length", "+5")], Ending::Reset),
        (&[("X-A", "capital")], Ending::Closed),
        (&[("x a", "blank")], Ending::Closed),
        (&[("x", "a\r\nhost: b.test")], Ending::Closed),
        (&[("x", "a\0")], Ending::Closed),
        (&[(":path", "/twice")], Ending::Reset),
        (&[("host", "b.test")], Ending::Status(400)),
        (&[("host", "app.test"), ("host", "app.test")], Ending::Status(400)),
        (&[("host", "app.test"), ("content-length", "5"), ("te", "trailers")], Ending::Status(200)),
    ];
    for (lines, expected) in more {
        let ending = request(&lab, &[&PSEUDO[..], lines].concat(), "hello")?;
        assert_eq!(ending, expected, "{lines:?}");
        assert_eq!(requests(&target), there(ending), "{lines:?}");
    }
    // Another line in the place of one.
    let other = [
        (3, (":path", "/a b"), Ending::Reset),
        (3, (":path", "/\r\nX: y"), Ending::Reset),
        (3, (":path", ""), Ending::Reset),
        (3, (":path", "http://b.test/"), Ending::Reset),
        (2, (":authority", "b.test"), Ending::Status(404)),
        (2, (":authority", "a@app.test"), Ending::Status(400)),
        (2, (":authority", ""), Ending::Reset),
        (0, (":method", "POST / HTTP/1.1"), Ending::Closed),
        (0, (":method", "CONNECT"), Ending::Reset),
    ];
    for (place, line, expected) in other {
        let mut lines = PSEUDO;
        lines[place] = line;
        let ending = request(&lab, &lines, "hello")?;
        assert_eq!(ending, expected, "{line:?}");
        assert_eq!(requests(&target), there(ending), "{line:?}");
    }
    Ok(())
}
