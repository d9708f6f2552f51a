//! The examples for fail2ban and `CrowdSec` with the real programs: who guesses is banned,
//! who does not is not.

use std::{
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use weir_tests::{
    lab::{self, Lab},
    names,
    ns::run,
    program::Program,
    skip::skip,
    wait::{SOON, holds},
    web::{curl::Curl, site, target::Target},
    weir::Weir,
};

/// The hash of another key than any that is tried here.
const KEY_HASH: &str = "sha256:2a2f67b7c7b0b25937f4cd63cee811379579fe7c45adf994d2f40f2ae4d286a6";
/// Who guesses.
const GUESSER: IpAddr = lab::FR4;
/// Who asks without a key, and is no guesser.
const VISITOR: IpAddr = lab::DE4;
/// Guesses; the examples ban after five, Weir locks out after three.
const GUESSES: usize = 8;

/// Weir with a service that wants a key, and with a sink of what it denied; and a
/// directory for another program.
struct Scene<'a> {
    lab: &'a Lab,
    weir: Weir<'a>,
    _target: Target,
    directory: TempDir,
}

impl<'a> Scene<'a> {
    fn start(lab: &'a Lab) -> Result<Self> {
        let mut weir = Weir::install(&lab.server)?;
        let lines = format!(
            "[service.vault.auth]\nheaders = [{{ name = 'X-Api-Key', hash = '{KEY_HASH}' }}]\n\
             lockout = {{ attempts = 3 }}"
        );
        let sink = format!(
            "[[sink]]\nkind = 'jsonl'\npath = '{}'\nfilter = {{ verdict = ['denied'] }}\n",
            weir.path("access.jsonl").display()
        );
        fs::write(weir.path("access.jsonl"), "")?;
        weir.configure("", &(sink + &site("vault", "vault.example.com", &lines)))?;
        let target = Target::start(&lab.server)?;
        weir.launch()?;
        let directory = TempDir::with_prefix(names::prefix())?;
        Ok(Self { lab, weir, _target: target, directory })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A file of an example, with the log where this Weir has it.
    fn example(&self, from: &str, to: &str) -> Result<()> {
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(from);
        let text = fs::read_to_string(&example).with_context(|| from.to_owned())?;
        let log = self.weir.path("access.jsonl").display().to_string();
        self.write(to, &text.replace("/var/log/weir/access.jsonl", &log))
    }

    fn write(&self, name: &str, text: &str) -> Result<()> {
        let path = self.path(name);
        fs::create_dir_all(path.parent().context("no directory")?)?;
        fs::write(&path, text).with_context(|| path.display().to_string())
    }

    /// Denied requests of both: the guesser's name the visitor as the guesser, as far as
    /// a client can.
    fn ask(&self) -> Result<()> {
        let forged = format!("\",\"source_ip\":\"{VISITOR}\",\"reason\":\"invalid_header\"}}");
        let path = forged.replace('"', "%22").replace('{', "%7B").replace('}', "%7D");
        let url = format!("https://vault.example.com/{path}");
        for _ in 0..GUESSES {
            let guess = ["-H", "X-Api-Key: guessed", "-A", &forged];
            let answer = Curl::from(self.lab, GUESSER).with(&guess).get(&url)?;
            ensure!([401, 429].contains(&answer.status), "{answer:?}");
            let answer = Curl::from(self.lab, VISITOR).get("https://vault.example.com/")?;
            ensure!(answer.status == 401, "{answer:?}");
        }
        self.weir.wait_for_events(2 * GUESSES, "verdict=denied", SOON)?;
        Ok(())
    }
}

#[test]
fn fail2ban_bans_who_guesses() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let scene = Scene::start(&lab)?;
    let shown = scene.directory.path().display().to_string();
    scene.example("fail2ban/filter.d/weir.conf", "filter.d/weir.conf")?;
    scene.example("fail2ban/jail.d/weir.conf", "jail.d/weir.conf")?;
    // It would look its own host's name up, where nobody answers.
    let defaults = "[DEFAULT]\naction = note\nusedns = no\nignoreself = false\n";
    scene.write("jail.conf", defaults)?;
    let note = format!("[Definition]\nactionban = echo <ip> >> {shown}/banned\n");
    scene.write("action.d/note.conf", &note)?;
    let server = format!(
        "[Definition]\nloglevel = INFO\nlogtarget = {shown}/fail2ban.log\nsyslogsocket = auto\n\
         socket = {shown}/socket\npidfile = {shown}/pid\ndbfile = None\ndbpurgeage = 1d\n\
         dbmaxmatches = 10\n"
    );
    scene.write("fail2ban.conf", &server)?;
    let arguments = ["-f", "-x", "-c", &shown];
    let output = scene.path("output");
    let _server = Program::spawn(&lab.server, "fail2ban-server", &arguments, &output)?;
    let status = || run(Command::new("fail2ban-client").args(["-c", &shown, "status", "weir"]));
    let log = || fs::read_to_string(scene.path("fail2ban.log")).unwrap_or_default();
    ensure!(holds(SOON, || status().is_ok()), "no jail: {:?} {}", status(), log());
    scene.ask()?;
    let banned = || status().is_ok_and(|status| status.contains(&GUESSER.to_string()));
    ensure!(holds(SOON, banned), "{:?} {}", status(), log());
    assert_eq!(fs::read_to_string(scene.path("banned"))?, format!("{GUESSER}\n"));
    let status = status()?;
    assert!(!status.contains(&VISITOR.to_string()), "{status}");
    Ok(())
}

/// Where `cargo xtask setup` unpacks it.
fn crowdsec() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools/crowdsec")
}

#[test]
fn crowdsec_decides_to_ban_who_guesses() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let tools = crowdsec();
    if !tools.join("usr/bin/crowdsec").exists() {
        skip("crowdsec is not installed: cargo xtask setup");
        return Ok(());
    }
    let scene = Scene::start(&lab)?;
    let shown = scene.directory.path().display().to_string();
    install_crowdsec(&scene, &tools)?;
    let config = format!("{shown}/config.yaml");
    let cscli = |arguments: &[&str]| {
        let mut command = lab.server.command(tools.join("usr/bin/cscli"));
        run(command.args(["-c", &config]).args(arguments))
    };
    let credentials = format!("{shown}/credentials.yaml");
    cscli(&["machines", "add", "lab", "--password", "lab", "-f", &credentials])?;
    let program = tools.join("usr/bin/crowdsec").display().to_string();
    let log = scene.path("crowdsec.log");
    let agent = Program::spawn(&lab.server, &program, &["-c", &config], &log)?;
    let reads = || agent.log().contains("Starting processing data");
    ensure!(holds(2 * SOON, reads), "{}", agent.log());
    scene.ask()?;
    let decisions = || cscli(&["decisions", "list", "-o", "json"]).unwrap_or_default();
    let banned = || decisions().contains(&GUESSER.to_string());
    ensure!(holds(2 * SOON, banned), "{:?} {} {}", decisions(), cscli(&["metrics"])?, agent.log());
    let decisions = decisions();
    assert!(decisions.contains("weir/bf"), "{decisions}");
    assert!(!decisions.contains(&VISITOR.to_string()), "{decisions}");
    Ok(())
}

/// An installation without the central API: the examples, and of the hub what they need.
fn install_crowdsec(scene: &Scene<'_>, tools: &Path) -> Result<()> {
    let shown = scene.directory.path().display();
    for file in ["acquis.d/weir.yaml", "parsers/s01-parse/weir.yaml", "scenarios/weir-bf.yaml"] {
        scene.example(&format!("crowdsec/{file}"), file)?;
    }
    let hub = tools.join("usr/share/crowdsec/hub");
    for (stage, name) in [("s00-raw", "syslog-logs"), ("s02-enrich", "dateparse-enrich")] {
        let parser = hub.join("parsers").join(stage).join("crowdsecurity");
        let text = fs::read_to_string(parser.join(format!("{name}.yaml")))?;
        scene.write(&format!("parsers/{stage}/{name}.yaml"), &text)?;
    }
    for file in ["profiles.yaml", "simulation.yaml"] {
        scene.write(file, &fs::read_to_string(tools.join("etc/crowdsec").join(file))?)?;
    }
    for entry in fs::read_dir(tools.join("etc/crowdsec/patterns"))? {
        let entry = entry?;
        let name = entry.file_name();
        let text = fs::read_to_string(entry.path())?;
        scene.write(&format!("patterns/{}", name.to_string_lossy()), &text)?;
    }
    scene.write("hub/.index.json", &fs::read_to_string(hub.join(".index.json"))?)?;
    for directory in ["data", "notifications", "plugins", "postoverflows"] {
        fs::create_dir_all(scene.path(directory))?;
    }
    scene.write(
        "config.yaml",
        &format!(
            "common: {{daemonize: false, log_media: stdout, log_level: info, working_dir: .}}
config_paths:
  config_dir: {shown}
  data_dir: {shown}/data
  simulation_path: {shown}/simulation.yaml
  hub_dir: {shown}/hub
  index_path: {shown}/hub/.index.json
  notification_dir: {shown}/notifications
  plugin_dir: {shown}/plugins
crowdsec_service: {{acquisition_dir: {shown}/acquis.d, parser_routines: 1}}
cscli: {{output: human}}
db_config: {{type: sqlite, db_path: {shown}/data/crowdsec.db}}
plugin_config: {{user: nobody, group: nogroup}}
api:
  client: {{credentials_path: {shown}/credentials.yaml}}
  server: {{listen_uri: '127.0.0.1:8080', profiles_path: {shown}/profiles.yaml}}
prometheus: {{enabled: true, level: full, listen_addr: 127.0.0.1, listen_port: 6060}}
"
        ),
    )
}
