//! `cargo xtask run`

use std::{
    env, fs,
    io::{BufRead, BufReader},
    os::unix::process::CommandExt,
    path::Path,
    process::{Command, Stdio},
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, bail};
use weir_tests::mmdb::{Place, Schema, build};

use crate::{
    backend,
    build::{Options, release},
    process::is_root,
    setup,
};

const CONFIG: &str = "examples/quickstart.toml";
const DIRECTORY: &str = "target/quickstart";

const HINTS: &str = "
Weir starts on examples/quickstart.toml; Ctrl-C ends it. When it says that it is
ready, try in another terminal (as root, in this directory):

  curl 127.0.0.1:8081                                   # allowed, through the relay
  curl --max-time 2 --interface 127.0.0.2 127.0.0.1:8081   # denied: dropped in the kernel
  curl 127.0.0.1:9082                                   # allowed, a guarded port

  target/release/weir events  --config examples/quickstart.toml
  target/release/weir explain --config examples/quickstart.toml 127.0.0.2
  target/release/weir status  --config examples/quickstart.toml
";

pub(crate) fn run(options: Options) -> Result<()> {
    if !is_root() {
        bail!("Weir loads programs into the kernel: run this as root (sudo -E cargo xtask run)");
    }
    setup::packages(&[("curl", "curl")])?;
    let binary = release(options)?;
    fs::create_dir_all(DIRECTORY).context(DIRECTORY)?;
    let database = Path::new(DIRECTORY).join("geo.mmdb");
    fs::write(&database, countries()?).with_context(|| database.display().to_string())?;
    start_backends()?;
    println!("{HINTS}");
    let failed = Command::new(&binary).args(["run", "--config", CONFIG]).exec();
    Err(failed).with_context(|| binary.display().to_string())
}

/// Starts what Weir stands before, and waits until it listens. It ends when this process
/// does, which becomes Weir itself.
fn start_backends() -> Result<()> {
    let mut command = Command::new(env::current_exe()?);
    let mut child =
        command.arg("backend").stdout(Stdio::piped()).spawn().context("the backends")?;
    let mut said = String::new();
    BufReader::new(child.stdout.take().context("a pipe")?).read_line(&mut said)?;
    if said.trim_end() != backend::READY {
        // It has said why.
        bail!("the quick start's backends ended: {}", child.wait()?);
    }
    Ok(())
}

/// Documentation prefixes (RFC 5737, RFC 3849) in three countries.
fn countries() -> Result<Vec<u8>> {
    let places = [
        ("192.0.2.0/24", "DE"),
        ("198.51.100.0/24", "FR"),
        ("203.0.113.0/24", "US"),
        ("2001:db8::/32", "DE"),
    ];
    let mut parsed = Vec::new();
    for (net, country) in places {
        parsed.push((net.parse()?, Place::country(country)));
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    Ok(build(Schema::Country, &parsed, now))
}
