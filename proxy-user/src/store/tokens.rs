//! API tokens: shown once, kept as SHA-256.

use std::{path::Path, sync::Arc, time::Duration};

use parking_lot::RwLock;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, TableError};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{StoreError, records::private};
use crate::record::Timestamp;

const TOKENS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("tokens");
/// So that a leaked one is recognised by scanners.
const PREFIX: &str = "weir_";

/// What a token may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scope {
    /// Everything.
    Read,
    /// `/metrics` only.
    Metrics,
}

/// A token, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// Its name.
    pub name: String,
    /// What it may read.
    pub scope: Scope,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends, if it does by itself.
    pub expires_at: Option<Timestamp>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Kept {
    token: Token,
    hash: [u8; 32],
}

/// Every token; cheap to clone.
#[derive(Clone)]
pub struct Tokens {
    database: Arc<Database>,
    path: Arc<Path>,
    /// What the file holds, so that a check does not read it.
    kept: Arc<RwLock<Vec<Kept>>>,
}

impl Tokens {
    /// Opens the tokens below `data_dir`.
    pub fn open(data_dir: &Path) -> Result<Self, StoreError> {
        private(data_dir)?;
        let path = data_dir.join("tokens.redb");
        let database = Database::create(&path).map_err(|e| StoreError::of(&path)(e.into()))?;
        let kept = read(&database).map_err(StoreError::of(&path))?;
        Ok(Self {
            database: Arc::new(database),
            path: path.into(),
            kept: Arc::new(RwLock::new(kept)),
        })
    }

    /// Makes a token, and gives its secret.
    pub fn create(
        &self,
        name: &str,
        scope: Scope,
        expires: Option<Duration>,
    ) -> Result<(Token, String), StoreError> {
        let mut kept = self.kept.write();
        if kept.iter().any(|known| known.token.name == name) {
            return Err(StoreError::TokenExists(name.to_owned()));
        }
        let now = Timestamp::now();
        let lifetime = expires.map(|e| i64::try_from(e.as_millis()).unwrap_or(i64::MAX));
        let token = Token {
            name: name.to_owned(),
            scope,
            created_at: now,
            expires_at: lifetime.map(|lifetime| Timestamp(now.0.saturating_add(lifetime))),
        };
        let secret = secret().map_err(|e| StoreError::io(&self.path)(e.into()))?;
        let fresh = Kept { token: token.clone(), hash: Sha256::digest(&secret).into() };
        // Plain data into memory: postcard has nothing to refuse.
        let bytes = postcard::to_stdvec(&fresh).unwrap_or_default();
        self.write(|table| table.insert(name, bytes.as_slice()).map(drop))?;
        kept.push(fresh);
        Ok((token, secret))
    }

    /// Ends a token; false where there is none of that name.
    pub fn revoke(&self, name: &str) -> Result<bool, StoreError> {
        let mut kept = self.kept.write();
        let Some(at) = kept.iter().position(|known| known.token.name == name) else {
            return Ok(false);
        };
        self.write(|table| table.remove(name).map(drop))?;
        kept.remove(at);
        Ok(true)
    }

    /// Every token, by name.
    pub fn list(&self) -> Vec<Token> {
        let mut all: Vec<Token> = self.kept.read().iter().map(|kept| kept.token.clone()).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    /// The token whose secret that is, unless it has expired. Every hash is compared,
    /// each in constant time.
    pub fn verify(&self, secret: &str) -> Option<Token> {
        let hash: [u8; 32] = Sha256::digest(secret).into();
        let mut found = None;
        for kept in self.kept.read().iter() {
            if bool::from(kept.hash.ct_eq(&hash)) {
                found = Some(kept.token.clone());
            }
        }
        let now = Timestamp::now();
        found.filter(|token| token.expires_at.is_none_or(|expires| expires > now))
    }

    fn write(
        &self,
        change: impl FnOnce(
            &mut redb::Table<'_, &'static str, &'static [u8]>,
        ) -> Result<(), redb::StorageError>,
    ) -> Result<(), StoreError> {
        let run = || -> Result<(), redb::Error> {
            let write = self.database.begin_write()?;
            change(&mut write.open_table(TOKENS)?)?;
            Ok(write.commit()?)
        };
        run().map_err(StoreError::of(&self.path))
    }
}

fn read(database: &Database) -> Result<Vec<Kept>, redb::Error> {
    let table = match database.begin_read()?.open_table(TOKENS) {
        Ok(table) => table,
        Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let mut kept = Vec::new();
    for row in table.iter()? {
        kept.extend(postcard::from_bytes::<Kept>(row?.1.value()).ok());
    }
    Ok(kept)
}

/// 256 bits, in hexadecimal.
fn secret() -> rustix::io::Result<String> {
    use std::fmt::Write;
    let mut bytes = [0; 32];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    Ok(bytes.iter().fold(PREFIX.to_owned(), |mut text, byte| {
        // Writing into a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    }))
}
