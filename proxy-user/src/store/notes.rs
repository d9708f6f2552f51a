//! What lies beside the records, in their own transactions: how far the kernel's
//! counters are accounted for, and which flows are safe.

use std::collections::{BTreeMap, BTreeSet};

use proxy_common::address::{Address, FlowKey};
use redb::{ReadableTable, Table, WriteTransaction};

use super::{
    StoreError,
    file::{ACCOUNTED, RecordsFile, table},
    noted::{Noted, Noting},
};
use crate::record::{Accounted, Committing, CounterId, FlowId};

/// How far records account for counters.
pub(super) fn accounted(file: &RecordsFile) -> Result<BTreeMap<CounterId, u64>, StoreError> {
    file.read(|read| {
        let mut accounted = BTreeMap::new();
        if let Some(table) = table(read, ACCOUNTED)? {
            for row in table.iter()? {
                let (key, attempts) = row?;
                let (epoch, service, reason, cpu) = key.value();
                let counter = CounterId { epoch, service, reason, cpu };
                accounted.insert(counter, attempts.value());
            }
        }
        Ok(accounted)
    })
}

/// Notes of one kind's newest partition.
#[derive(Clone, Debug, Default)]
pub(super) struct Notes {
    pub(super) accounted: BTreeMap<CounterId, u64>,
    pub(super) flows: BTreeSet<FlowId>,
}

impl Notes {
    pub(super) fn read(file: &RecordsFile) -> Result<Self, StoreError> {
        Ok(Self { accounted: accounted(file)?, flows: Noted::read(file)?.flows().collect() })
    }

    /// Writes them into a new partition that begins with `own`. Where `own` accounts
    /// for counters, other maps than theirs are gone, and accounts of those stay
    /// behind; where it does not, nothing tells which are gone, since epochs are
    /// random, and all move along.
    pub(super) fn carry(
        &self,
        write: &WriteTransaction,
        noted: &mut Noted,
        own: &[&Committing],
    ) -> Result<(), redb::Error> {
        let parts = own.iter().flat_map(|one| one.origin.accounted());
        let epochs: BTreeSet<u64> = parts.map(|part| part.counter.epoch).collect();
        let mut accounted = write.open_table(ACCOUNTED)?;
        for (counter, attempts) in &self.accounted {
            if epochs.is_empty() || epochs.contains(&counter.epoch) {
                accounted.insert(key_of(counter), attempts)?;
            }
        }
        let mut noting = Noting::open(write, noted)?;
        for flow in &self.flows {
            noting.note(*flow)?;
        }
        noting.flush()
    }
}

pub(super) fn key_of(counter: &CounterId) -> (u64, u16, u8, u32) {
    (counter.epoch, counter.service, counter.reason, counter.cpu)
}

/// How far each counter is accounted for, while it is written.
pub(super) struct Accounts<'a>(Table<'a, (u64, u16, u8, u32), u64>);

impl<'a> Accounts<'a> {
    pub(super) fn open(write: &'a WriteTransaction) -> Result<Self, redb::Error> {
        Ok(Self(write.open_table(ACCOUNTED)?))
    }

    /// Adds to a counter's account.
    pub(super) fn add(&mut self, part: &Accounted) -> Result<(), redb::Error> {
        let key = key_of(&part.counter);
        let before = self.0.get(key)?.map_or(0, |guard| guard.value());
        self.0.insert(key, before + part.attempts)?;
        Ok(())
    }
}

pub(super) const FLOW_BYTES: usize = 16 + 16 + 2 + 2 + 1 + 8;

pub(super) fn flow_bytes(flow: &FlowId) -> [u8; FLOW_BYTES] {
    let mut bytes = [0; FLOW_BYTES];
    bytes[..16].copy_from_slice(&flow.key.client.octets());
    bytes[16..32].copy_from_slice(&flow.key.service.octets());
    bytes[32..34].copy_from_slice(&flow.key.client_port.to_be_bytes());
    bytes[34..36].copy_from_slice(&flow.key.service_port.to_be_bytes());
    bytes[36] = flow.key.protocol.to_be_bytes()[3];
    bytes[37..].copy_from_slice(&flow.started.to_be_bytes());
    bytes
}

pub(super) fn flow_from(bytes: &[u8]) -> Option<FlowId> {
    let (client, rest) = bytes.split_first_chunk::<16>()?;
    let (service, rest) = rest.split_first_chunk::<16>()?;
    let (client_port, rest) = rest.split_first_chunk()?;
    let (service_port, rest) = rest.split_first_chunk()?;
    let ([protocol], rest) = rest.split_first_chunk()?;
    let key = FlowKey {
        client: Address::v6(*client),
        service: Address::v6(*service),
        client_port: u16::from_be_bytes(*client_port),
        service_port: u16::from_be_bytes(*service_port),
        protocol: (*protocol).into(),
    };
    Some(FlowId { key, started: u64::from_be_bytes(rest.try_into().ok()?) })
}
