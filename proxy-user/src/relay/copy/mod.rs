//! Copies payload both ways between two sockets.

mod buffer;
mod direction;
mod duplex;
mod end;
mod idle;
mod pipe;

pub(super) use duplex::{Duplex, fault};
pub(super) use end::End;
pub(super) use idle::Idle;
pub(super) use pipe::PipePool;
