//! What an interface can do, compared before and after XDP is attached: some
//! drivers pay for it with offloads, queues or the link itself.

use std::{
    collections::BTreeSet,
    fs, io,
    os::fd::{AsRawFd, OwnedFd},
    path::Path,
};

use rustix::net::{AddressFamily, SocketType, socket};

/// `include/uapi/linux/ethtool.h`
const ETHTOOL_GSTRINGS: u32 = 0x1b;
const ETHTOOL_GFEATURES: u32 = 0x3a;
const ETHTOOL_GSSET_INFO: u32 = 0x37;
const ETH_SS_FEATURES: u32 = 4;
const ETH_GSTRING_LEN: usize = 32;

/// State of an interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Abilities {
    features: BTreeSet<String>,
    mtu: Option<u64>,
    queues: usize,
    carrier: bool,
}

impl Abilities {
    /// Reads what there is to read; what an interface does not tell stays empty.
    pub(super) fn of(interface: &str) -> Self {
        let sys = Path::new("/sys/class/net").join(interface);
        let number = |name| fs::read_to_string(sys.join(name)).ok()?.trim().parse().ok();
        Self {
            features: features(interface).unwrap_or_default(),
            mtu: number("mtu"),
            queues: fs::read_dir(sys.join("queues")).map_or(0, Iterator::count),
            carrier: number("carrier") == Some(1),
        }
    }

    /// What `after` lacks, in words; empty where nothing was lost.
    pub(super) fn lost(&self, after: &Self) -> Vec<String> {
        let mut losses: Vec<String> =
            self.features.difference(&after.features).map(|name| format!("{name} off")).collect();
        if after.mtu < self.mtu {
            losses.push(format!("MTU {} instead of {}", show(after.mtu), show(self.mtu)));
        }
        if after.queues < self.queues {
            losses.push(format!("{} queues instead of {}", after.queues, self.queues));
        }
        if self.carrier && !after.carrier {
            losses.push("no carrier".to_owned());
        }
        losses
    }
}

fn show(mtu: Option<u64>) -> String {
    mtu.map_or_else(|| "unknown".to_owned(), |mtu| mtu.to_string())
}

/// The names of the features that are on, as `ethtool -k` shows them.
fn features(interface: &str) -> io::Result<BTreeSet<String>> {
    let socket = socket(AddressFamily::INET, SocketType::DGRAM, None)?;
    // struct ethtool_sset_info: cmd, reserved, sset_mask (u64), data.
    let mut info = [ETHTOOL_GSSET_INFO, 0, 1 << ETH_SS_FEATURES, 0, 0];
    ethtool(&socket, interface, &mut info)?;
    let count = usize::try_from(info[4]).unwrap_or(0).min(1024);
    // struct ethtool_gstrings: cmd, string_set, len, names.
    let mut names = vec![0u32; 3 + count * ETH_GSTRING_LEN / 4];
    names[..3].copy_from_slice(&[ETHTOOL_GSTRINGS, ETH_SS_FEATURES, info[4]]);
    ethtool(&socket, interface, &mut names)?;
    // struct ethtool_gfeatures: cmd, size, then available, requested, active,
    // never_changed for each 32 features.
    let blocks = count.div_ceil(32);
    let mut states = vec![0u32; 2 + blocks * 4];
    states[0] = ETHTOOL_GFEATURES;
    states[1] = u32::try_from(blocks).unwrap_or(0);
    ethtool(&socket, interface, &mut states)?;
    let active = |index: usize| states[2 + index / 32 * 4 + 2] >> (index % 32) & 1 == 1;
    Ok((0..count).filter(|index| active(*index)).map(|index| name(&names, index)).collect())
}

fn name(names: &[u32], index: usize) -> String {
    let words = &names[3 + index * ETH_GSTRING_LEN / 4..][..ETH_GSTRING_LEN / 4];
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

/// `SIOCETHTOOL` with `request`, whose first word is the command.
fn ethtool(socket: &OwnedFd, interface: &str, request: &mut [u32]) -> io::Result<()> {
    // SAFETY: all zeros is a value of this plain structure.
    let mut ifreq: libc::ifreq = unsafe { std::mem::zeroed() };
    // The last byte stays 0.
    for (to, from) in ifreq.ifr_name[..libc::IFNAMSIZ - 1].iter_mut().zip(interface.bytes()) {
        *to = libc::c_char::from_ne_bytes([from]);
    }
    ifreq.ifr_ifru.ifru_data = request.as_mut_ptr().cast();
    // SAFETY: the socket is open, and `request` is as long as its command's counts
    // say, so the kernel writes inside it.
    let answer = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL, &raw mut ifreq) };
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_interface_tells_its_features() {
        let abilities = Abilities::of("lo");
        assert!(abilities.features.contains("tx-scatter-gather"), "{abilities:?}");
        assert!(abilities.mtu.is_some());
    }

    #[test]
    fn only_losses_are_told() {
        let before = Abilities {
            features: ["tx-tcp-segmentation", "rx-gro"].map(str::to_owned).into(),
            mtu: Some(9000),
            queues: 4,
            carrier: true,
        };
        let after = Abilities {
            features: ["rx-gro", "rx-checksum"].map(str::to_owned).into(),
            mtu: Some(3000),
            queues: 2,
            carrier: false,
        };
        assert_eq!(
            before.lost(&after),
            [
                "tx-tcp-segmentation off",
                "MTU 3000 instead of 9000",
                "2 queues instead of 4",
                "no carrier"
            ]
        );
        assert!(before.lost(&before).is_empty());
    }
}
