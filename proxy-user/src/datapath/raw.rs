//! The layouts of `proxy-common` as map keys and values.

use proxy_common::{
    address::FlowKey,
    classes::{Root4, Root6},
    flow::{FlowId, FlowState},
    nat::{Backends, BackendsKey, Route, TargetName, Translation},
    tables::{DenialCount, Listener, ListenerKey, Root},
    udp::Question,
};

/// A shared layout, as aya wants it.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq)]
pub(super) struct Raw<T>(pub(super) T);

/// Layouts that are `repr(C)`, hold integers only and have no implicit padding
/// (each asserts its size beside its definition).
pub(super) trait Layout: 'static {}

impl Layout for FlowKey {}
impl Layout for FlowId {}
impl Layout for FlowState {}
impl Layout for DenialCount {}
impl Layout for Listener {}
impl Layout for ListenerKey {}
impl Layout for Root {}
impl Layout for Question {}
impl Layout for Backends {}
impl Layout for BackendsKey {}
impl Layout for Route {}
impl Layout for TargetName {}
impl Layout for Translation {}
impl Layout for Root4 {}
impl Layout for Root6 {}
impl Layout for u16 {}
impl Layout for u32 {}
impl Layout for u64 {}
impl Layout for i32 {}
impl<T: Layout, const N: usize> Layout for [T; N] {}

// SAFETY: every bit pattern is a value of a `Layout`, and it has no padding.
unsafe impl<T: Layout + Copy> aya::Pod for Raw<T> {}
