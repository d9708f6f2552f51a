//! Prefix tables: many tables in one longest-prefix map per family, told apart by
//! their number, which stands before the address in the key.

use std::net::IpAddr;

use aya::maps::{LpmTrie, MapData, MapError, lpm_trie::Key};
use ipnet::IpNet;
use proxy_common::{
    policy::TableId,
    tables::{Prefix4, Prefix6, TABLE_BITS},
};

use super::{DatapathError, raw::Raw};

/// One prefix of one table.
pub(super) type TablePrefix = (TableId, IpNet);

/// The two maps of one kind of table.
pub(super) struct PrefixMaps {
    v4: LpmTrie<MapData, Raw<Prefix4>, u32>,
    v6: LpmTrie<MapData, Raw<Prefix6>, u32>,
}

impl PrefixMaps {
    pub(super) fn new(
        v4: LpmTrie<MapData, Raw<Prefix4>, u32>,
        v6: LpmTrie<MapData, Raw<Prefix6>, u32>,
    ) -> Self {
        Self { v4, v6 }
    }

    pub(super) fn insert(
        &mut self,
        (table, prefix): TablePrefix,
        value: u32,
    ) -> Result<(), DatapathError> {
        match prefix {
            IpNet::V4(prefix) => self.v4.insert(&key4(table, prefix), value, 0)?,
            IpNet::V6(prefix) => self.v6.insert(&key6(table, prefix), value, 0)?,
        }
        Ok(())
    }

    pub(super) fn remove(&mut self, (table, prefix): TablePrefix) -> Result<(), DatapathError> {
        let removed = match prefix {
            IpNet::V4(prefix) => self.v4.remove(&key4(table, prefix)),
            IpNet::V6(prefix) => self.v6.remove(&key6(table, prefix)),
        };
        absent_is_removed(removed)
    }

    /// Every prefix of every table.
    pub(super) fn all(&self) -> Result<Vec<TablePrefix>, DatapathError> {
        let mut found = Vec::new();
        for key in self.v4.keys() {
            let key = key?;
            let Raw(Prefix4 { table, address }) = key.data();
            found.extend(prefix(table, address.into(), key.prefix_len()));
        }
        for key in self.v6.keys() {
            let key = key?;
            let Raw(Prefix6 { table, address }) = key.data();
            found.extend(prefix(table, address.into(), key.prefix_len()));
        }
        Ok(found)
    }
}

fn prefix(table: TableId, address: IpAddr, length: u32) -> Option<TablePrefix> {
    let length = u8::try_from(length.checked_sub(TABLE_BITS)?).ok()?;
    Some((table, IpNet::new(address, length).ok()?))
}

fn key4(table: TableId, prefix: ipnet::Ipv4Net) -> Key<Raw<Prefix4>> {
    let address = prefix.network().octets();
    Key::new(TABLE_BITS + u32::from(prefix.prefix_len()), Raw(Prefix4 { table, address }))
}

fn key6(table: TableId, prefix: ipnet::Ipv6Net) -> Key<Raw<Prefix6>> {
    let address = prefix.network().octets();
    Key::new(TABLE_BITS + u32::from(prefix.prefix_len()), Raw(Prefix6 { table, address }))
}

pub(super) fn absent_is_removed(removed: Result<(), MapError>) -> Result<(), DatapathError> {
    match removed {
        Ok(()) | Err(MapError::KeyNotFound | MapError::ElementNotFound) => Ok(()),
        Err(MapError::SyscallError(error))
            if error.io_error.kind() == std::io::ErrorKind::NotFound =>
        {
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}
