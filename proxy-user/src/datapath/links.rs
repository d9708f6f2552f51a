//! Links, pinned so that they outlive the daemon.

use std::{fs, io, path::Path};

use aya::programs::{
    LinkOrder, SchedClassifier, TcAttachType, Xdp, XdpMode,
    links::{FdLink, PinnedLink},
    tc::{SchedClassifierLink, TcAttachOptions},
    xdp::XdpLink,
};

use super::{DatapathError, bpf, pins::at};

/// Takes over the link pinned at `pin`, or makes one, first in the chain.
pub(super) fn attach_tcx(
    program: &mut SchedClassifier,
    name: &str,
    side: TcAttachType,
    pin: &Path,
) -> Result<(), DatapathError> {
    if let Some(link) = pinned(pin) {
        let taken = SchedClassifierLink::try_from(link).map_err(io::Error::other);
        if let Ok(link) = taken
            && let Ok(id) = program.attach_to_link(link)
        {
            // The pin holds it.
            drop(program.take_link(id)?);
            return Ok(());
        }
        detach(pin)?;
    }
    let order = TcAttachOptions::TcxOrder(LinkOrder::first());
    let id = program.attach_with_options(name, side, order)?;
    let link: FdLink = program.take_link(id)?.try_into()?;
    link.pin(pin)?;
    Ok(())
}

pub(super) fn attach_xdp(
    program: &mut Xdp,
    index: u32,
    mode: XdpMode,
    pin: &Path,
) -> Result<(), DatapathError> {
    if let Some(link) = pinned(pin) {
        if let Ok(link) = XdpLink::try_from(link)
            && let Ok(id) = program.attach_to_link(link)
        {
            // The pin holds it.
            drop(program.take_link(id)?);
            return Ok(());
        }
        detach(pin)?;
    }
    let id = program.attach_to_if_index(index, mode)?;
    let link: FdLink = program.take_link(id)?.try_into()?;
    link.pin(pin)?;
    Ok(())
}

/// A link that an interface's end left behind is as good as none.
fn pinned(pin: &Path) -> Option<FdLink> {
    PinnedLink::from_pin(pin).ok().map(FdLink::from)
}

/// Detaches and unpins a link; it may be gone already.
pub(super) fn detach(pin: &Path) -> Result<(), DatapathError> {
    // That of an interface which is gone is detached, and any other one when it is
    // unpinned, if a moment later.
    let _ = bpf::detach_link(pin);
    match fs::remove_file(pin) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(pin)(error)),
        _ => Ok(()),
    }
}
