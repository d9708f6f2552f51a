//! bpf(2), for the few commands that aya has no call for.

use std::{
    ffi::CString,
    io,
    os::{
        fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
};

/// `include/uapi/linux/bpf.h`
const BPF_MAP_CREATE: libc::c_int = 0;
const BPF_OBJ_GET: libc::c_int = 7;
const BPF_LINK_DETACH: libc::c_int = 34;
const BPF_MAP_TYPE_ARRAY: u32 = 2;
const BPF_MAP_TYPE_ARRAY_OF_MAPS: u32 = 12;

/// An array of one word.
pub(super) fn array() -> io::Result<OwnedFd> {
    create(BPF_MAP_TYPE_ARRAY, 0)
}

/// An array of one map, which is to be like `inner`. aya makes those only from an
/// object.
pub(super) fn array_of_maps(inner: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    create(BPF_MAP_TYPE_ARRAY_OF_MAPS, inner.as_raw_fd().cast_unsigned())
}

fn create(kind: u32, inner: u32) -> io::Result<OwnedFd> {
    // Type, sizes of key and value, entries, flags.
    let attributes = [kind, 4, 4, 1, 0, inner].map(u32::to_ne_bytes);
    // SAFETY: there is no pointer among them, and the result is a descriptor.
    unsafe { Ok(OwnedFd::from_raw_fd(call(BPF_MAP_CREATE, attributes.as_flattened())?)) }
}

/// Detaches the link pinned at `pin`. Unlike closing it, this takes effect at once.
pub(super) fn detach_link(pin: &Path) -> io::Result<()> {
    let name = CString::new(pin.as_os_str().as_bytes())?;
    let mut attributes = [0; 16];
    attributes[..8].copy_from_slice(&(name.as_ptr() as u64).to_ne_bytes());
    // SAFETY: the name lives until after the call, and the result is a descriptor.
    let link = unsafe { OwnedFd::from_raw_fd(call(BPF_OBJ_GET, &attributes)?) };
    // SAFETY: there is no pointer among them.
    unsafe { call(BPF_LINK_DETACH, &link.as_raw_fd().to_ne_bytes()) }.map(drop)
}

/// # Safety
/// Pointers among the attributes must be to what the command expects.
unsafe fn call(command: libc::c_int, attributes: &[u8]) -> io::Result<RawFd> {
    // SAFETY: the kernel reads as many bytes as it is told there are; the caller
    // answers for what they point to.
    let answer =
        unsafe { libc::syscall(libc::SYS_bpf, command, attributes.as_ptr(), attributes.len()) };
    match RawFd::try_from(answer) {
        Ok(answer) if answer >= 0 => Ok(answer),
        _ => Err(io::Error::last_os_error()),
    }
}
