//! What the README says, done.

use std::{
    fs::{self, File, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command},
};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use weir_tests::{
    geo,
    lab::Lab,
    names,
    ns::{Namespace, run},
    ss,
    tls::Certificate,
    wait::{SOON, holds},
    weir,
};

const CONFIG: &str = "examples/quickstart.toml";
const LOG: &str = "log";

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Blocks of the README of a language; none for those without.
fn blocks(language: &str) -> Result<Vec<String>> {
    let text = fs::read_to_string(workspace().join("README.md"))?;
    let fenced = text.split("\n```").skip(1).step_by(2);
    let ours = fenced.filter_map(|block| block.strip_prefix(&format!("{language}\n")));
    Ok(ours.map(str::to_owned).collect())
}

/// A process of the test's, killed with it.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // TERM lets Weir take its programs down; it may have ended by itself.
        let _ = run(Command::new("kill").arg(self.0.id().to_string()));
        let _ = self.0.wait();
    }
}

fn start(
    namespace: &Namespace,
    directory: &Path,
    program: &Path,
    rest: &[&str],
) -> Result<Running> {
    let log = File::options().create(true).append(true).open(directory.join(LOG))?;
    let mut command = namespace.bound_command(program);
    command.args(rest).current_dir(directory).stdout(log.try_clone()?).stderr(log);
    Ok(Running(command.spawn().with_context(|| format!("{command:?}"))?))
}

/// Waits for what is started to say or do something.
fn wait_for(directory: &Path, what: &str, done: impl Fn(&str) -> bool) -> Result<()> {
    let log = || fs::read_to_string(directory.join(LOG)).unwrap_or_default();
    ensure!(holds(SOON, || done(&log())), "{what}: {}", log());
    Ok(())
}

/// Lines in which numbers, and how far apart words are, do not count.
fn shape(text: &str) -> Vec<String> {
    let line = |line: &str| {
        let words: Vec<_> = line.split_whitespace().collect();
        let mut shape = String::new();
        for letter in words.join(" ").chars() {
            match letter {
                '0'..='9' if shape.ends_with('#') => {}
                '0'..='9' => shape.push('#'),
                other => shape.push(other),
            }
        }
        shape
    };
    text.lines().map(line).collect()
}

/// The quick start's commands print what the README shows, numbers aside.
#[test]
fn the_quick_start_shows_what_it_says() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let directory = TempDir::with_prefix(names::prefix())?;
    let binary = weir::binary()?.canonicalize()?;
    let config = workspace().join(CONFIG).canonicalize()?;
    // Its paths are relative to the workspace, where another may be under way.
    let own = directory.path().join("target/quickstart");
    fs::create_dir_all(&own)?;
    geo::write(&own.join("geo.mmdb"))?;
    fs::write(directory.path().join(".curlrc"), "silent\nshow-error\n")?;
    let _backend =
        start(&lab.server, directory.path(), env!("CARGO_BIN_EXE_xtask").as_ref(), &["backend"])?;
    let listens = |port: &u16| ss::listens(&lab.server, *port).unwrap_or(false);
    let backend_listens = |_: &str| [9081, 9082].iter().all(listens);
    wait_for(directory.path(), "the backend does not listen", backend_listens)?;
    let run_config = ["run", "--config", &config.to_string_lossy()];
    let _weir = start(&lab.server, directory.path(), &binary, &run_config)?;
    // As the reader does: what comes before is met midway.
    let is_ready = |log: &str| log.contains("weir is ready");
    wait_for(directory.path(), "weir is not ready", is_ready)?;

    let session = blocks("")?.into_iter().find(|block| block.starts_with("$ "));
    for step in session.context("no session")?.split("$ ").skip(1) {
        let (line, shown) = step.split_once('\n').context("a command without an answer")?;
        let line = line
            .replace("target/release/weir", &binary.to_string_lossy())
            .replace(CONFIG, &config.to_string_lossy());
        let mut command = lab.server.command("sh");
        command.args(["-c", &format!("{line} 2>&1; true")]);
        command.env("CURL_HOME", directory.path()).current_dir(directory.path());
        assert_eq!(shape(&run(&mut command)?), shape(shown), "{line}");
    }
    let guarded = run(lab.server.command("curl").args(["--silent", "127.0.0.1:9082"]))?;
    assert_eq!(guarded, "hello from a port that Weir guards\n");
    Ok(())
}

/// Every configuration of the README and of `examples`, as it stands, but for where the
/// files are that it names.
#[test]
fn examples_pass_the_check() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let directory = TempDir::with_prefix(names::prefix())?;
    let etc = directory.path();
    named_files(etc)?;
    let mut examples = blocks("toml")?;
    for entry in fs::read_dir(workspace().join("examples"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            examples.push(fs::read_to_string(path)?);
        }
    }
    assert!(examples.len() >= 8, "{examples:?}");
    for example in examples {
        let path = etc.join("weir.toml");
        fs::write(&path, example.replace("/etc/weir/", &format!("{}/", etc.display())))?;
        let mut command = lab.server.command(weir::binary()?);
        run(command.arg("check").arg("--config").arg(&path)).context(example)?;
    }
    Ok(())
}

/// The secrets and certificates that examples name.
fn named_files(etc: &Path) -> Result<()> {
    for secret in ["sso.secret", "eab.key"] {
        let path = etc.join(secret);
        fs::write(&path, "c2VjcmV0")?;
        fs::set_permissions(&path, Permissions::from_mode(0o600))?;
    }
    let certificate = Certificate::new(etc, &["ca.example.com"])?.certificate;
    fs::rename(certificate, etc.join("ca.pem"))?;
    Ok(())
}
