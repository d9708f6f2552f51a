//! fail2ban bans who tries keys at a service of Weir's, by the files in `examples/fail2ban`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use weir_tests::{
    lab::{self, Lab},
    program::Program,
    wait::{SOON, holds},
    web::{curl::Curl, secret::hash, site, target::Target},
    weir::Weir,
};

/// What an installation of fail2ban has beside the example's files, cut down to one jail. It
/// bans nobody, it notes whom it would.
fn install(dir: &Path, log: &Path) -> Result<()> {
    let shown = dir.display();
    let example = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../examples/fail2ban");
    for part in ["filter.d/weir.conf", "jail.d/weir.conf"] {
        let to = dir.join(part);
        fs::create_dir_all(to.parent().context("a folder")?)?;
        fs::copy(example.join(part), to)?;
    }
    fs::create_dir_all(dir.join("action.d"))?;
    let files = [
        (
            "fail2ban.conf",
            format!(
                "[Definition]\nloglevel = INFO\nlogtarget = STDERR\nsyslogsocket = auto\n\
                 socket = {shown}/fail2ban.sock\npidfile = {shown}/fail2ban.pid\n\
                 dbfile = None\ndbpurgeage = 1d\n"
            ),
        ),
        ("jail.conf", "[DEFAULT]\nusedns = no\n".to_owned()),
        ("action.d/note.conf", format!("[Definition]\nactionban = echo <ip> >> {shown}/banned\n")),
        ("jail.local", format!("[weir]\nlogpath = {}\naction = note\n", log.display())),
    ];
    for (name, text) in files {
        fs::write(dir.join(name), text)?;
    }
    Ok(())
}

#[test]
fn fail2ban_bans_who_tries_keys() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _target = Target::start(&lab.server)?;
    let dir = tempfile::tempdir()?;
    let log = dir.path().join("access.jsonl");
    let key = hash(&[], "a good key")?;
    let auth = format!("[service.api.auth]\nheaders = [{{ name = 'X-Key', hash = '{key}' }}]\n");
    let sink = format!(
        "[[sink]]\nkind = 'jsonl'\npath = '{}'\nfilter = {{ verdict = ['denied'] }}\n",
        log.display()
    );
    let tables = site("api", "api.example.com", &auth) + &sink;
    let weir = Weir::start(&lab.server, "", &tables)?;
    let ask = |from, key: &str, path: &str| {
        Curl::from(&lab, from)
            .with(&["-H", &format!("X-Key: {key}")])
            .get(&format!("https://api.example.com{path}"))
    };
    // Somebody who writes as if another had tried.
    let forged = "/\",\"source_ip\":\"203.0.113.99\",\"reason\":\"invalid_header\"";
    for _ in 0..4 {
        ask(lab::DE4, "guess", forged)?;
    }
    ask(lab::FR4, "a good key", "/")?;
    weir.wait_for_events(4, "reason=invalid_header", SOON)?;
    install(dir.path(), &log)?;
    let arguments = ["-f", "-x", "-c"].map(str::to_owned).into_iter();
    let arguments: Vec<String> =
        arguments.chain([dir.path().display().to_string(), "start".to_owned()]).collect();
    let said = dir.path().join("fail2ban.log");
    let jailer = Program::spawn(&lab.server, "fail2ban-server", &arguments, &said)?;
    let banned = dir.path().join("banned");
    ask(lab::DE4, "guess", "/")?;
    let is_banned =
        || fs::read_to_string(&banned).is_ok_and(|text| text.trim() == lab::DE4.to_string());
    assert!(holds(2 * SOON, is_banned), "nobody is banned: {}", jailer.log());
    jailer.terminate()
}
