//! `weir hash`

use std::io::{self, BufRead, IsTerminal, Write};

use anyhow::{Context, Result, bail};
use argon2::{Argon2, PasswordHasher};
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use sha2::{Digest, Sha256};

use super::{OK, args::Hash};

const PIN_DIGITS: usize = 6;

pub(super) fn run(options: &Hash) -> Result<u8> {
    if options.generate {
        generate()?;
        return Ok(OK);
    }
    let secret = read_secret(if options.pin { "PIN: " } else { "Password: " })?;
    if secret.is_empty() {
        bail!("nothing was entered");
    }
    let digits = secret.chars().all(|c| c.is_ascii_digit());
    if options.pin && !(digits && secret.len() >= PIN_DIGITS) {
        bail!("a PIN is {PIN_DIGITS} digits or more");
    }
    let hash = Argon2::default().hash_password(secret.as_bytes());
    println!("{}", hash.map_err(|error| anyhow::anyhow!("{error}"))?);
    Ok(OK)
}

/// A 256-bit key needs no slow hash: nobody guesses it.
fn generate() -> Result<()> {
    let mut bytes = [0; 32];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    let key = hex(&bytes);
    println!("{key}");
    println!("sha256:{}", hex(&Sha256::digest(&key)));
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
}

/// From the terminal without echo, else the first line of stdin.
fn read_secret(prompt: &str) -> Result<String> {
    let stdin = io::stdin();
    let mut line = String::new();
    if !stdin.is_terminal() {
        stdin.lock().read_line(&mut line).context("stdin")?;
        return Ok(line.trim_end_matches(['\r', '\n']).to_owned());
    }
    eprint!("{prompt}");
    io::stderr().flush()?;
    let before = tcgetattr(&stdin)?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&stdin, OptionalActions::Now, &silent)?;
    let read = stdin.lock().read_line(&mut line);
    tcsetattr(&stdin, OptionalActions::Now, &before)?;
    eprintln!();
    read.context("the terminal")?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
