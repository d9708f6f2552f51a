//! Programs as filters of the clsact qdisc: for kernels without TCX, that is before
//! 6.6.
//!
//! A filter belongs to its interface, not to the process that made it, so it outlives
//! the daemon without a pin. Ours are known by their handle and their program's name,
//! whatever became of the pins.

use std::{
    collections::BTreeSet,
    fs, io, mem,
    path::{Path, PathBuf},
};

use aya::programs::{
    ProgramError, SchedClassifier, TcAttachType,
    tc::{NlOptions, SchedClassifierLink, TcAttachOptions, TcHandle, qdisc_add_clsact},
};

use super::{
    DatapathError,
    netlink::{Netlink, find},
    pins::at,
};

/// `include/uapi/linux/rtnetlink.h`
const RTM_NEWQDISC: u16 = 36;
const RTM_DELQDISC: u16 = 37;
const RTM_GETQDISC: u16 = 38;
const RTM_NEWTFILTER: u16 = 44;
const RTM_DELTFILTER: u16 = 45;
const RTM_GETTFILTER: u16 = 46;
const TCA_KIND: u16 = 1;
const TCA_OPTIONS: u16 = 2;
/// `include/uapi/linux/pkt_cls.h`
const TCA_BPF_NAME: u16 = 7;
/// `include/uapi/linux/pkt_sched.h`
const TC_H_CLSACT: u32 = 0xffff_fff1;
const CLSACT: u32 = 0xffff_0000;
const INGRESS: u32 = 0xffff_fff2;
const EGRESS: u32 = 0xffff_fff3;
/// Length of `struct tcmsg`.
const TCMSG: usize = 20;
const ETH_P_ALL: u16 = 3;

/// First half of our handles, `we`.
const HANDLE: u16 = 0x7765;

/// Our filters in this network namespace.
pub(super) struct Clsact {
    handle: TcHandle,
    /// Holds a directory for each interface whose qdisc is of our making.
    made: PathBuf,
}

/// A filter of an interface.
struct Filter {
    interface: u32,
    parent: u32,
    priority: u16,
    handle: TcHandle,
    name: Vec<u8>,
}

impl Clsact {
    /// Those of the Weir that pins in `namespace`: its name is in their handle, so that
    /// one with another `kernel.bpffs` has filters of its own.
    pub(super) fn of(namespace: &Path) -> Self {
        // FNV-1a, folded: it must be the same in every version.
        let hash =
            namespace.as_os_str().as_encoded_bytes().iter().fold(0x811c_9dc5_u32, |hash, byte| {
                (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
            });
        let [a, b, c, d] = hash.to_be_bytes();
        let handle = TcHandle::new(HANDLE, u16::from_be_bytes([a ^ c, b ^ d]));
        Self { handle, made: namespace.join("clsact") }
    }

    /// Attaches a program, in the place of the one of ours that is there, or else with
    /// the first free priority, which is the result.
    pub(super) fn attach(
        &self,
        program: &mut SchedClassifier,
        (interface, name): (u32, &str),
        side: TcAttachType,
    ) -> Result<u16, DatapathError> {
        self.make_qdisc(interface, name)?;
        let parent = if side == TcAttachType::Egress { EGRESS } else { INGRESS };
        let others = filters(interface, parent)?;
        let id = if let Some(own) = others.iter().find(|filter| self.is_ours(filter)) {
            let link = SchedClassifierLink::attached(name, side, own.priority, own.handle, None)
                .map_err(|source| DatapathError::System { call: "if_nametoindex", source })?;
            program.attach_to_link(link)?
        } else {
            let taken: BTreeSet<u16> = others.iter().map(|filter| filter.priority).collect();
            let priority =
                (1..u16::MAX).find(|priority| !taken.contains(priority)).unwrap_or(u16::MAX);
            let options = NlOptions { priority, handle: self.handle, classid: None };
            program.attach_with_options(name, side, TcAttachOptions::Netlink(options))?
        };
        let link = program.take_link(id)?;
        let priority = link.priority()?;
        // Dropping it would remove the filter.
        mem::forget(link);
        Ok(priority)
    }

    /// Interfaces that have our filters on both sides.
    pub(super) fn attached(&self) -> Result<BTreeSet<u32>, DatapathError> {
        let ours = self.ours()?;
        let on = |parent| -> BTreeSet<u32> {
            ours.iter().filter(|f| f.parent == parent).map(|filter| filter.interface).collect()
        };
        Ok(&on(INGRESS) & &on(EGRESS))
    }

    /// Removes our filters from all other interfaces, and the qdiscs that we made
    /// there where nothing else uses them. Whether there was anything.
    pub(super) fn remove_except(&self, kept: &BTreeSet<u32>) -> Result<bool, DatapathError> {
        let ours = self.ours()?;
        let netlink = open()?;
        let mut removed = false;
        for filter in ours.iter().filter(|filter| !kept.contains(&filter.interface)) {
            absent_is_removed(netlink.act(RTM_DELTFILTER, &filter.tcmsg()))?;
            removed = true;
        }
        for (interface, mark) in self.marks()? {
            if kept.contains(&interface) {
                continue;
            }
            if filters(interface, INGRESS)?.is_empty() && filters(interface, EGRESS)?.is_empty() {
                absent_is_removed(
                    netlink.act(RTM_DELQDISC, &tcmsg(interface, CLSACT, TC_H_CLSACT, 0)),
                )?;
            }
            fs::remove_dir(&mark).map_err(at(&mark))?;
            removed = true;
        }
        Ok(removed)
    }

    /// Notes that the qdisc is ours before it is made: a crash between leaves a note,
    /// never a qdisc that nobody removes.
    fn make_qdisc(&self, interface: u32, name: &str) -> Result<(), DatapathError> {
        if qdiscs()?.iter().any(|(of, kind)| *of == interface && kind == b"clsact") {
            return Ok(());
        }
        let mark = self.made.join(interface.to_string());
        fs::create_dir_all(&mark).map_err(at(&mark))?;
        qdisc_add_clsact(name).map_err(|error| {
            // Nothing was made: another qdisc may stand in its place.
            let _ = fs::remove_dir(&mark);
            ProgramError::from(error).into()
        })
    }

    fn marks(&self) -> Result<Vec<(u32, PathBuf)>, DatapathError> {
        let entries = match fs::read_dir(&self.made) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(at(&self.made))?,
        };
        let mut found = Vec::new();
        for entry in entries {
            let path = entry.map_err(at(&self.made))?.path();
            let interface = path.file_name().and_then(|name| name.to_str()?.parse().ok());
            found.extend(interface.map(|interface| (interface, path)));
        }
        Ok(found)
    }

    fn ours(&self) -> Result<Vec<Filter>, DatapathError> {
        let mut found = Vec::new();
        for (interface, _) in qdiscs()?.iter().filter(|(_, kind)| kind == b"clsact") {
            for parent in [INGRESS, EGRESS] {
                found.extend(filters(*interface, parent)?.into_iter().filter(|f| self.is_ours(f)));
            }
        }
        Ok(found)
    }

    fn is_ours(&self, filter: &Filter) -> bool {
        filter.handle == self.handle && filter.name.starts_with(b"weir_")
    }
}

impl Filter {
    fn parse((interface, parent): (u32, u32), message: &[u8]) -> Option<Self> {
        let (head, attributes) = message.split_at_checked(TCMSG)?;
        let word = |at: usize| Some(u32::from_ne_bytes(*head.get(at..)?.first_chunk()?));
        let (handle, info) = (word(8)?, word(16)?);
        let name = find(attributes, TCA_OPTIONS).and_then(|options| find(options, TCA_BPF_NAME));
        Some(Self {
            interface,
            parent,
            priority: (info >> 16) as u16,
            handle: handle.into(),
            name: name.unwrap_or_default().to_vec(),
        })
    }

    fn tcmsg(&self) -> Vec<u8> {
        let info = u32::from(self.priority) << 16 | u32::from(ETH_P_ALL.to_be());
        tcmsg(self.interface, self.handle.into(), self.parent, info)
    }
}

/// The filters on one side of an interface. A priority in use is told by a message of
/// its own, without a handle.
fn filters(interface: u32, parent: u32) -> Result<Vec<Filter>, DatapathError> {
    let request = tcmsg(interface, 0, parent, 0);
    let messages = match open()?.dump(RTM_GETTFILTER, &request, RTM_NEWTFILTER) {
        // The interface went away, or has no such qdisc.
        Err(error) if is_absent(&error) => Vec::new(),
        messages => messages.map_err(failed)?,
    };
    Ok(messages.iter().filter_map(|m| Filter::parse((interface, parent), m)).collect())
}

/// Every qdisc of the namespace: interface and kind.
fn qdiscs() -> Result<Vec<(u32, Vec<u8>)>, DatapathError> {
    let messages = open()?.dump(RTM_GETQDISC, &tcmsg(0, 0, 0, 0), RTM_NEWQDISC).map_err(failed)?;
    let parse = |message: &Vec<u8>| {
        let interface = u32::from_ne_bytes(*message.get(4..)?.first_chunk()?);
        let kind = find(message.get(TCMSG..)?, TCA_KIND)?;
        Some((interface, kind.strip_suffix(b"\0").unwrap_or(kind).to_vec()))
    };
    Ok(messages.iter().filter_map(parse).collect())
}

/// `struct tcmsg` (`include/uapi/linux/rtnetlink.h`).
fn tcmsg(interface: u32, handle: u32, parent: u32, info: u32) -> Vec<u8> {
    [0, interface, handle, parent, info].into_iter().flat_map(u32::to_ne_bytes).collect()
}

fn open() -> Result<Netlink, DatapathError> {
    Netlink::route().map_err(failed)
}

fn failed(source: io::Error) -> DatapathError {
    DatapathError::System { call: "netlink, traffic control", source }
}

fn absent_is_removed(answer: io::Result<()>) -> Result<(), DatapathError> {
    match answer {
        Err(error) if !is_absent(&error) => Err(failed(error)),
        _ => Ok(()),
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENODEV | libc::EINVAL))
}
