//! The commands, as a shell sees them: exit codes, broken pipes, the terminal.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    net::{IpAddr, SocketAddr},
    os::fd::OwnedFd,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use rustix::{
    process::{Pid, Signal, kill_process},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{LocalModes, tcgetattr},
};
use weir_tests::{
    geo,
    lab::{self, Lab},
    scenario::{self, Servers},
    server::{Behaviour, Server},
    wait::{SOON, eventually, holds},
    weir::Weir,
};

/// How a command ended: its code, and what it said on both outputs.
fn outcome(command: &mut Command) -> Result<(Option<i32>, String)> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    let said = [output.stdout, output.stderr].concat();
    Ok((output.status.code(), String::from_utf8_lossy(&said).into_owned()))
}

fn expect_code(weir: &Weir<'_>, arguments: &[&str], code: i32) -> Result<String> {
    let (ended, said) = outcome(&mut weir.command(arguments)?)?;
    ensure!(ended == Some(code), "weir {arguments:?} ended with {ended:?}: {said}");
    ensure!(!said.contains("panicked"), "weir {arguments:?}: {said}");
    Ok(said)
}

/// The daemon's own listeners are not another process's.
#[test]
fn a_check_beside_the_running_daemon() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _servers = Servers::start(&lab, Behaviour::Echo)?;
    let weir = Weir::start(&lab.server, "", &scenario::services(""))?;
    expect_code(&weir, &["check"], 0)?;

    let stranger = SocketAddr::new(IpAddr::from([127, 0, 0, 1]), 7010);
    let _stranger = Server::start(&lab.server, stranger, Behaviour::Echo)?;
    let taken = "[service.taken]\nmode = 'tcp'\nlisten = 7010\ntarget = '127.0.0.1:7003'\n";
    weir.configure("", &format!("{}{taken}", scenario::services("")))?;
    let said = expect_code(&weir, &["check"], 2)?;
    ensure!(said.matches("another process").count() == 1, "{said}");
    ensure!(said.contains("another process listens on 127.0.0.1:7010 already"), "{said}");

    let looped = "[service.looped]\nmode = 'tcp'\nlisten = 7011\ntarget = '192.0.2.1:7002'\n";
    weir.configure("", &format!("{}{looped}", scenario::services("")))?;
    let said = expect_code(&weir, &["check"], 2)?;
    ensure!(said.contains("the target is a listener of service relayed: 192.0.2.1"), "{said}");
    Ok(())
}

/// What was asked for wrongly is 2, what failed is 1.
#[test]
fn exit_codes() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _servers = Servers::start(&lab, Behaviour::Echo)?;
    let mut weir = Weir::install(&lab.server)?;
    weir.configure("", &scenario::services(""))?;
    let wrong: [&[&str]; 3] = [
        &["events", "--source-ip", "no address"],
        &["explain", "192.0.2.9", "--service", "unknown"],
        &["events", "--bogus"],
    ];
    expect_code(&weir, &["status"], 1)?;
    for arguments in wrong {
        expect_code(&weir, arguments, 2)?;
    }
    weir.launch()?;
    for arguments in wrong {
        expect_code(&weir, arguments, 2)?;
    }
    expect_code(&weir, &["events", "--follow", "--verdict", "no"], 2)?;
    expect_code(&weir, &["token", "revoke", "unknown"], 2)?;
    expect_code(&weir, &["session", "revoke", "unknown"], 2)?;
    expect_code(&weir, &["session", "revoke"], 2)?;
    let said = expect_code(&weir, &["session", "revoke", "--all"], 0)?;
    ensure!(said.contains("sessions revoked: 0"), "{said}");
    expect_code(&weir, &["explain", "192.0.2.9"], 0)?;

    weir.configure("", "[bogus]")?;
    expect_code(&weir, &["reload"], 2)?;
    weir.stop()?;
    for arguments in [&["events"][..], &["explain", "192.0.2.9"], &["store", "stats"], &["run"]] {
        let said = expect_code(&weir, arguments, 2)?;
        ensure!(said.contains("weir.toml:6:2: unknown key"), "{said}");
    }
    Ok(())
}

/// A default gateway is nobody's address: no country rule exempts it, also where the
/// daemon is not there to know it.
#[test]
fn a_gateway_is_judged_alike_with_and_without_a_daemon() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _servers = Servers::start(&lab, Behaviour::Echo)?;
    lab.server.ip(&format!("route add default via {} metric 500", lab::PRIVATE4))?;
    let mut weir = Weir::install(&lab.server)?;
    geo::write(&scenario::database(&weir))?;
    weir.configure("", &(scenario::geoip(&weir) + &scenario::services(&scenario::only_germany())))?;
    let gateway = lab::PRIVATE4.to_string();
    for launched in [false, true] {
        if launched {
            weir.launch()?;
        }
        expect_code(&weir, &["explain", "10.77.0.3"], 0)?;
        expect_code(&weir, &["explain", &gateway], 3)?;
    }
    Ok(())
}

/// A pipe that nobody reads.
fn unread() -> Result<io::PipeWriter> {
    Ok(io::pipe()?.1)
}

#[test]
fn a_broken_pipe_is_success() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let _servers = Servers::start(&lab, Behaviour::Echo)?;
    let mut weir = Weir::start(&lab.server, "", &scenario::services(""))?;
    let live: [&[&str]; 11] = [
        &["status"],
        &["status", "--json"],
        &["flows"],
        &["flows", "--watch"],
        &["events"],
        &["events", "--format", "csv"],
        &["events", "--follow"],
        &["explain", "192.0.2.9"],
        &["token", "create", "a"],
        &["session", "list"],
        &["session", "list", "--json"],
    ];
    let still: [&[&str]; 4] =
        [&["check"], &["store", "stats"], &["hash", "--generate"], &["--help"]];
    for arguments in live.into_iter().chain(still) {
        if arguments == still[0] {
            weir.stop()?;
        }
        let mut command = weir.command(arguments)?;
        let output = command.stdout(unread()?).stderr(Stdio::piped()).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.code() == Some(0), "{arguments:?}: {}: {said}", output.status);
        ensure!(!said.contains("panicked"), "{arguments:?}: {said}");
    }
    weir.configure("", "[bogus]")?;
    let ended = weir.command(&["check"])?.stderr(unread()?).status()?;
    ensure!(ended.code() == Some(2), "faults that nobody reads are faults still: {ended}");
    Ok(())
}

/// A terminal: what a person has in hand, and what a command has.
fn terminal() -> Result<(File, OwnedFd)> {
    let person = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
    grantpt(&person)?;
    unlockpt(&person)?;
    let name = ptsname(&person, Vec::new())?.into_string()?;
    let command = OpenOptions::new().read(true).write(true).open(name)?;
    Ok((person.into(), command.into()))
}

fn echoes(terminal: &OwnedFd) -> bool {
    tcgetattr(terminal).is_ok_and(|modes| modes.local_modes.contains(LocalModes::ECHO))
}

#[test]
fn a_password_is_typed_twice_and_not_shown() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let weir = Weir::install(&lab.server)?;
    for (typed, code) in [("secret\nsecret\n", 0), ("secret\nsecrte\n", 2)] {
        let (mut person, terminal) = terminal()?;
        let mut command = weir.command(&["hash"])?;
        command.stdin(terminal.try_clone()?).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn()?;
        ensure!(holds(SOON, || !echoes(&terminal)), "the terminal shows the password");
        person.write_all(typed.as_bytes())?;
        let ended = eventually(SOON, || child.try_wait().ok().flatten()).context("still asks")?;
        let mut hash = String::new();
        child.stdout.take().context("no stdout")?.read_to_string(&mut hash)?;
        ensure!(ended.code() == Some(code), "{typed:?}: {ended}");
        ensure!(hash.starts_with("$argon2id$") == (code == 0), "{typed:?}: {hash}");
        ensure!(echoes(&terminal), "the terminal stays silent");
    }
    Ok(())
}

#[test]
fn an_interrupted_prompt_leaves_the_terminal_as_it_was() -> Result<()> {
    let Some(lab) = Lab::for_test()? else { return Ok(()) };
    let weir = Weir::install(&lab.server)?;
    for signal in [Signal::INT, Signal::TERM] {
        let (_person, terminal) = terminal()?;
        let mut command = weir.command(&["hash"])?;
        command.stdin(terminal.try_clone()?).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn()?;
        ensure!(holds(SOON, || !echoes(&terminal)));
        kill_process(Pid::from_child(&child), signal)?;
        let ended = eventually(SOON, || child.try_wait().ok().flatten()).context("still asks")?;
        ensure!(ended.code() == Some(1), "{ended}");
        ensure!(echoes(&terminal), "the terminal stays silent after {signal:?}");
    }
    Ok(())
}
