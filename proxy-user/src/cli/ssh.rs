//! Who runs this over SSH.

use std::{
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
};

/// The variable of ssh(1): client address and port, server address and port.
const VARIABLE: &str = "SSH_CONNECTION=";

/// The other end of the SSH connection that a command came by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SshClient {
    pub(super) address: IpAddr,
    /// Of this host.
    pub(super) port: u16,
}

/// As this process or the nearest of its ancestors knows: sudo and su forget.
pub(super) fn client() -> Option<SshClient> {
    client_of(Path::new("/proc"), std::process::id())
}

fn client_of(proc: &Path, process: u32) -> Option<SshClient> {
    let lineage = std::iter::successors(Some(process), |process| parent(proc, *process));
    // Longer than any, should numbers be used again meanwhile.
    lineage.take(64).find_map(|process| {
        let environment = fs::read(directory(proc, process).join("environ")).ok()?;
        let mut variables = environment.split(|byte| *byte == 0);
        let value = variables.find_map(|variable| variable.strip_prefix(VARIABLE.as_bytes()))?;
        parse(str::from_utf8(value).ok()?)
    })
}

fn directory(proc: &Path, process: u32) -> PathBuf {
    proc.join(process.to_string())
}

/// `PID (COMMAND) STATE PPID ...`, where the command may hold anything.
fn parent(proc: &Path, process: u32) -> Option<u32> {
    let stat = fs::read_to_string(directory(proc, process).join("stat")).ok()?;
    let parent = stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()?;
    (parent != 0).then_some(parent)
}

fn parse(connection: &str) -> Option<SshClient> {
    let mut parts = connection.split(' ');
    // A link-local address comes with its interface.
    let address: IpAddr = parts.next()?.split('%').next()?.parse().ok()?;
    let port = parts.nth(2)?.parse().ok()?;
    Some(SshClient { address: address.to_canonical(), port })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(proc: &Path, number: u32, parent: u32, command: &str, environment: &str) {
        let directory = directory(proc, number);
        fs::create_dir(&directory).expect("a directory");
        let stat = format!("{number} ({command}) S {parent} {number} 0 -1\n");
        fs::write(directory.join("stat"), stat).expect("written");
        fs::write(directory.join("environ"), environment).expect("written");
    }

    #[test]
    fn it_is_known_behind_sudo() {
        let proc = tempfile::tempdir().expect("a directory");
        let ssh = "A=1\0SSH_CONNECTION=203.0.113.7 50000 192.0.2.1 2222\0B=2\0";
        process(proc.path(), 1, 0, "init", "");
        process(proc.path(), 20, 1, "sshd", "");
        process(proc.path(), 30, 20, "a) S 1 (b", ssh);
        process(proc.path(), 40, 30, "sudo", "PATH=/bin\0");
        process(proc.path(), 50, 40, "weir", "XSSH_CONNECTION=no\0");
        let client = SshClient { address: [203, 0, 113, 7].into(), port: 2222 };
        assert_eq!(client_of(proc.path(), 50), Some(client));
        assert_eq!(client_of(proc.path(), 20), None);
        assert_eq!(client_of(proc.path(), 99), None);
    }

    #[test]
    fn addresses_as_sshd_writes_them() {
        let address = |text| parse(text).map(|client| client.address.to_string());
        assert_eq!(address("fe80::1%eth0 5 fe80::2%eth0 22").as_deref(), Some("fe80::1"));
        assert_eq!(address("::ffff:192.0.2.7 5 ::ffff:192.0.2.1 22").as_deref(), Some("192.0.2.7"));
        for bad in ["", "UNKNOWN 65535 UNKNOWN 65535", "192.0.2.7 5 192.0.2.1", "192.0.2.7"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
