//! What the API does is what its description says, as schemathesis finds.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use weir_tests::{
    lab::{self, Lab},
    program::Program,
    scenario::{PLANES, Servers, assert_both_deny, assert_both_serve, blocking},
    server::Behaviour,
    skip::skip,
    wait::SOON,
    weir::Weir,
};

/// Where `cargo xtask setup` installs it.
const SCHEMATHESIS: &str = "../target/tools/schemathesis/bin/schemathesis";
/// Its settings, with what `OpenAPI` has no words for.
const SETTINGS: &str = "tests/openapi/schemathesis.toml";
/// Requests of each kind for an operation.
const EXAMPLES: &str = "25";

fn schemathesis() -> Option<PathBuf> {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join(SCHEMATHESIS);
    program.exists().then_some(program)
}

/// Where socat leads to the control socket, over which one changes things.
const CONTROL: &str = "127.0.0.1:8791";
/// What the API answers over TCP too. The event stream is left out, as it never ends.
const READING: [&str; 2] = ["--exclude-path", "/api/events/proxy/stream"];
/// What only the control socket does, where nobody needs a token.
const CHANGING: [&str; 4] = [
    "--include-path-regex",
    "^/api/(reload|sessions|tokens)",
    "--exclude-checks",
    "ignored_auth,missing_required_header",
];

#[test]
fn schemathesis_finds_nothing() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let Some(program) = schemathesis() else {
        skip("schemathesis is not installed: cargo xtask setup");
        return Ok(());
    };
    let _servers = Servers::start(&lab, Behaviour::Echo)?;
    let weir = Weir::start(&lab.server, "", &blocking())?;
    assert_both_serve(&lab, lab::DE4)?;
    assert_both_deny(&lab, lab::BLOCKED4)?;
    weir.wait_for_events(2 * PLANES.len(), "", SOON)?;
    let made = weir.run(&["token", "create", "schemathesis"])?;
    let token = made.split_whitespace().find(|word| word.starts_with("weir_"));
    let token = token.with_context(|| format!("no token: {made}"))?;
    let socket = format!("UNIX-CONNECT:{}", weir.runtime_dir().join("weir.sock").display());
    let listen = ["TCP-LISTEN:8791,bind=127.0.0.1,reuseaddr,fork", &socket];
    let _socat = Program::start(&lab.server, "socat", &listen, 8791, &weir.path("socat.log"))?;

    for (at, what, least) in [("127.0.0.1:8790", &READING[..], 20), (CONTROL, &CHANGING, 8)] {
        let mut command = lab.server.bound_command(&program);
        command.arg("--config-file").arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(SETTINGS));
        command.args(["run", &format!("http://{at}/api/openapi.json"), "--no-color"]);
        command.args(["--checks", "all", "--seed", "7", "--max-examples", EXAMPLES]).args(what);
        command.args(["--suppress-health-check", "all", "--request-timeout", "20"]);
        command.arg("--header").arg(format!("Authorization: Bearer {token}"));
        // It keeps examples between runs where it is started.
        command.current_dir(weir.data_dir());
        let output = command.output().with_context(|| format!("{command:?}"))?;
        let said = String::from_utf8_lossy(&output.stdout);
        println!("{said}");
        ensure!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
        ensure!(said.contains(&format!("Tested: {least}\n")), "it leaves something out: {said}");
    }
    Ok(())
}
