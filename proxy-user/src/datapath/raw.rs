//! The layouts of `proxy-common` as map keys and values.

use proxy_common::{
    address::FlowKey,
    flow::{FlowId, FlowState},
    nat::{Backends, BackendsKey, Route, TargetName, Translation},
    policy::Rules,
    tables::{DenialCount, Listener, ListenerKey, Prefix4, Prefix6, Root},
    udp::Question,
};

/// A shared layout, as aya wants it.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq)]
pub(super) struct Raw<T>(pub(super) T);

/// Layouts that are `repr(C)`, hold integers only and have no implicit padding
/// (each asserts its size beside its definition).
trait Layout: Copy + 'static {}

impl Layout for FlowKey {}
impl Layout for FlowId {}
impl Layout for FlowState {}
impl Layout for Rules {}
impl Layout for DenialCount {}
impl Layout for Listener {}
impl Layout for ListenerKey {}
impl Layout for Prefix4 {}
impl Layout for Prefix6 {}
impl Layout for Root {}
impl Layout for Question {}
impl Layout for Backends {}
impl Layout for BackendsKey {}
impl Layout for Route {}
impl Layout for TargetName {}
impl Layout for Translation {}

// SAFETY: every bit pattern is a value of a `Layout`, and it has no padding.
unsafe impl<T: Layout> aya::Pod for Raw<T> {}
