//! Sessions: opaque, for one service at one host, kept over a restart.

mod holder;
mod id;

mod one;
mod table;

pub(super) use holder::{Asked, Holder, SignedOn};
pub(super) use id::SessionId;
pub(super) use one::{Facts, Session};
pub(super) use table::{Opener, Sessions};
