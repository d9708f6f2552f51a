//! What is recorded of UDP, between processes.

use serde::{Deserialize, Serialize};

use super::flow::Flow;
use crate::flow;

/// As [`flow::FlowPast`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FlowPast {
    flow: Flow,
    shared_until: u64,
    refused_until: u64,
    refused_at: u64,
}

impl From<flow::FlowPast> for FlowPast {
    fn from(past: flow::FlowPast) -> Self {
        let flow::FlowPast { flow, shared_until, refused_until, refused_at } = past;
        Self { flow: flow.into(), shared_until, refused_until, refused_at }
    }
}

impl From<FlowPast> for flow::FlowPast {
    fn from(past: FlowPast) -> Self {
        let FlowPast { flow, shared_until, refused_until, refused_at } = past;
        Self { flow: flow.into(), shared_until, refused_until, refused_at }
    }
}

/// As [`flow::RefusedByNumber`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RefusedByNumber {
    service: String,
    attempts: u64,
    until: u64,
}

impl From<flow::RefusedByNumber> for RefusedByNumber {
    fn from(refused: flow::RefusedByNumber) -> Self {
        let flow::RefusedByNumber { service, attempts, until } = refused;
        Self { service, attempts, until }
    }
}

impl From<RefusedByNumber> for flow::RefusedByNumber {
    fn from(refused: RefusedByNumber) -> Self {
        let RefusedByNumber { service, attempts, until } = refused;
        Self { service, attempts, until }
    }
}
