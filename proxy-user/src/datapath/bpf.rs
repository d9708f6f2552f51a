//! bpf(2), for the few commands that aya has no call for.

use std::{
    ffi::CString,
    io,
    mem::MaybeUninit,
    os::{
        fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
    ptr,
};

use aya::Pod;

use super::raw::Layout;

/// `include/uapi/linux/bpf.h`
const BPF_MAP_CREATE: libc::c_int = 0;
const BPF_MAP_UPDATE_ELEM: libc::c_int = 2;
const BPF_MAP_DELETE_ELEM: libc::c_int = 3;
const BPF_OBJ_GET: libc::c_int = 7;
const BPF_MAP_LOOKUP_AND_DELETE_ELEM: libc::c_int = 21;
const BPF_LINK_DETACH: libc::c_int = 34;
const BPF_MAP_TYPE_ARRAY: u32 = 2;
const BPF_MAP_TYPE_ARRAY_OF_MAPS: u32 = 12;

/// Flag of an array that may be of another size than others in the same map of maps.
pub(super) const INNER: u32 = 1 << 12;

/// An array of so many elements, of zeros.
pub(super) fn array<T: Layout>(entries: u32, flags: u32) -> io::Result<OwnedFd> {
    let size = u32::try_from(size_of::<T>()).map_err(io::Error::other)?;
    create([BPF_MAP_TYPE_ARRAY, 4, size, entries, flags, 0])
}

/// An array of one map, which is to be like `inner`. aya makes those only from an
/// object.
pub(super) fn array_of_maps(inner: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    create([BPF_MAP_TYPE_ARRAY_OF_MAPS, 4, 4, 1, 0, inner.as_raw_fd().cast_unsigned()])
}

/// Type, sizes of key and value, entries, flags, an inner map.
fn create(attributes: [u32; 6]) -> io::Result<OwnedFd> {
    let attributes = attributes.map(u32::to_ne_bytes);
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

/// Removes a hash map's element; its value, whole. aya does so only of queues.
pub(super) fn take_element<K: Pod, V: Pod>(map: BorrowedFd<'_>, key: &K) -> io::Result<Option<V>> {
    let mut value = MaybeUninit::<V>::uninit();
    // Map, key, value, flags.
    let mut attributes = [0; 32];
    attributes[..4].copy_from_slice(&map.as_raw_fd().to_ne_bytes());
    attributes[8..16].copy_from_slice(&(ptr::from_ref(key) as u64).to_ne_bytes());
    attributes[16..24].copy_from_slice(&(value.as_mut_ptr() as u64).to_ne_bytes());
    // SAFETY: the key and the room for the value live until after the call. aya compared
    // their sizes with the map's.
    match unsafe { call(BPF_MAP_LOOKUP_AND_DELETE_ELEM, &attributes) } {
        // SAFETY: the kernel wrote the value, and every bit pattern is one.
        Ok(_) => Ok(Some(unsafe { value.assume_init() })),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Sets an element of an array, of values of this type. aya copies each value, of which some
/// here are too large for a stack.
pub(super) fn set_element<T: Layout>(map: BorrowedFd<'_>, index: u32, value: &T) -> io::Result<()> {
    let value = ptr::from_ref(value) as u64;
    // SAFETY: callers hold maps whose values are of this type.
    unsafe { element(BPF_MAP_UPDATE_ELEM, map, &index, value) }
}

/// Empties an element of an array of maps, or finds it empty.
pub(super) fn remove_element(map: BorrowedFd<'_>, index: u32) -> io::Result<()> {
    // SAFETY: there is no value.
    match unsafe { element(BPF_MAP_DELETE_ELEM, map, &index, 0) } {
        Err(error) if error.raw_os_error() != Some(libc::ENOENT) => Err(error),
        _ => Ok(()),
    }
}

/// # Safety
/// The value is as large as the map's are.
unsafe fn element(
    command: libc::c_int,
    map: BorrowedFd<'_>,
    index: &u32,
    value: u64,
) -> io::Result<()> {
    // Map, key, value, flags.
    let mut attributes = [0; 32];
    attributes[..4].copy_from_slice(&map.as_raw_fd().to_ne_bytes());
    attributes[8..16].copy_from_slice(&(ptr::from_ref(index) as u64).to_ne_bytes());
    attributes[16..24].copy_from_slice(&value.to_ne_bytes());
    // SAFETY: the key lives until after the call, and the caller answers for the value.
    unsafe { call(command, &attributes) }.map(drop)
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
