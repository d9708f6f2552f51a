//! `weir hash`

use std::io::{self, IsTerminal, Write};

use anyhow::{Context, Result, bail};
use argon2::{Argon2, PasswordHasher};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use sha2::{Digest, Sha256};
use tokio::{
    signal::unix::{SignalKind, signal},
    task::spawn_blocking,
};

use super::{
    OK, Wrong,
    args::Hash,
    client::runtime,
    out::{say, tell},
};

const PIN_DIGITS: usize = 6;

pub(super) fn run(options: &Hash) -> Result<u8> {
    if options.generate {
        generate()?;
        return Ok(OK);
    }
    let secret = read_secret(if options.pin { "PIN: " } else { "Password: " })?;
    if secret.is_empty() {
        return Err(Wrong("nothing was entered".to_owned()).into());
    }
    let digits = secret.chars().all(|c| c.is_ascii_digit());
    if options.pin && !(digits && secret.len() >= PIN_DIGITS) {
        return Err(Wrong(format!("a PIN is {PIN_DIGITS} digits or more")).into());
    }
    let hash = Argon2::default().hash_password(secret.as_bytes());
    say(hash.map_err(|error| anyhow::anyhow!("{error}"))?)?;
    Ok(OK)
}

/// A 256-bit key needs no slow hash: nobody guesses it.
fn generate() -> Result<()> {
    let mut bytes = [0; 32];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    let key = hex(&bytes);
    say(&key)?;
    say(format_args!("sha256:{}", hex(&Sha256::digest(&key))))
}

fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
}

/// From the terminal, twice and without echo, else the first line of stdin.
fn read_secret(prompt: &str) -> Result<String> {
    if !io::stdin().is_terminal() {
        return read_line().context("stdin");
    }
    let secret = ask(prompt)?;
    if ask("Again: ")? != secret {
        return Err(Wrong("that was not the same".to_owned()).into());
    }
    Ok(secret)
}

fn read_line() -> io::Result<String> {
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    line.truncate(line.trim_end_matches(['\r', '\n']).len());
    Ok(line)
}

/// A line that the terminal does not show. It shows the next ones again, also where
/// a signal ends the command.
fn ask(prompt: &str) -> Result<String> {
    let runtime = runtime()?;
    let answer = runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut quit = signal(SignalKind::quit())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut hangup = signal(SignalKind::hangup())?;
        let _silence = Silence::begin().context("the terminal")?;
        // Where it cannot be shown it can still be answered.
        let _ = write!(io::stderr(), "{prompt}");
        tokio::select! {
            read = spawn_blocking(read_line) => read?.context("the terminal"),
            _ = interrupt.recv() => bail!("interrupted"),
            _ = quit.recv() => bail!("interrupted"),
            _ = terminate.recv() => bail!("interrupted"),
            _ = hangup.recv() => bail!("interrupted"),
        }
    });
    // A thread may be reading still.
    runtime.shutdown_background();
    tell("");
    answer
}

/// While it lives, the terminal on stdin does not echo.
struct Silence(Termios);

impl Silence {
    fn begin() -> rustix::io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Now, &silent)?;
        Ok(Self(before))
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        // A terminal that is gone has nothing to show.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}
