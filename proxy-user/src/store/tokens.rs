//! API tokens: shown once, kept as SHA-256.

use std::{path::Path, sync::Arc, time::Duration};

use parking_lot::{MappedRwLockReadGuard, RwLock, RwLockReadGuard};
use redb::{ReadableTable, TableDefinition};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{StoreError, book::Book, file::table};
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
    book: Arc<Book>,
    /// What the file holds, so that a check does not read it; `None` until it could be
    /// read.
    kept: Arc<RwLock<Option<Vec<Kept>>>>,
}

impl Tokens {
    /// The tokens below `data_dir`. Until they can be read no secret is good.
    pub fn new(data_dir: &Path) -> Self {
        Self { book: Arc::new(Book::new(data_dir, "tokens.redb")), kept: Arc::default() }
    }

    /// Lets go of the file for good, so that another process can open it.
    pub fn close(&self) {
        self.book.close();
    }

    /// Damage that was found since it was last asked; the file is set aside.
    pub fn damaged(&self) -> Vec<StoreError> {
        self.book.damaged()
    }

    /// Makes a token, and gives its secret.
    pub fn create(
        &self,
        name: &str,
        scope: Scope,
        expires: Option<Duration>,
    ) -> Result<(Token, String), StoreError> {
        drop(self.kept()?);
        let mut kept = self.kept.write();
        let kept = kept.get_or_insert_default();
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
        let secret = secret().map_err(|e| StoreError::io(self.book.path())(e.into()))?;
        let fresh = Kept { token: token.clone(), hash: Sha256::digest(&secret).into() };
        // Plain data into memory: postcard has nothing to refuse.
        let bytes = postcard::to_stdvec(&fresh).unwrap_or_default();
        self.write(|table| table.insert(name, bytes.as_slice()).map(drop))?;
        kept.push(fresh);
        Ok((token, secret))
    }

    /// Ends a token; false where there is none of that name.
    pub fn revoke(&self, name: &str) -> Result<bool, StoreError> {
        drop(self.kept()?);
        let mut kept = self.kept.write();
        let kept = kept.get_or_insert_default();
        let Some(at) = kept.iter().position(|known| known.token.name == name) else {
            return Ok(false);
        };
        self.write(|table| table.remove(name).map(drop))?;
        kept.remove(at);
        Ok(true)
    }

    /// Every token, by name.
    pub fn list(&self) -> Result<Vec<Token>, StoreError> {
        let mut all: Vec<Token> = self.kept()?.iter().map(|kept| kept.token.clone()).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(all)
    }

    /// The token whose secret that is, unless it has expired. Every hash is compared,
    /// each in constant time.
    pub fn verify(&self, secret: &str) -> Option<Token> {
        let hash: [u8; 32] = Sha256::digest(secret).into();
        let mut found = None;
        for kept in self.kept().ok()?.iter() {
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
        self.book.write(|write| Ok(change(&mut write.open_table(TOKENS)?)?))
    }

    /// What the file holds, read where it was not.
    fn kept(&self) -> Result<MappedRwLockReadGuard<'_, [Kept]>, StoreError> {
        let read = || RwLockReadGuard::try_map(self.kept.read(), Option::as_deref);
        if let Ok(kept) = read() {
            return Ok(kept);
        }
        let mut kept = self.kept.write();
        if kept.is_none() {
            *kept = Some(self.read()?);
        }
        drop(kept);
        read().map_err(|_| StoreError::Closed(self.book.path().to_owned()))
    }

    fn read(&self) -> Result<Vec<Kept>, StoreError> {
        self.book.read(|read| {
            let Some(table) = table(read, TOKENS)? else { return Ok(Vec::new()) };
            let mut kept = Vec::new();
            for row in table.iter()? {
                kept.extend(postcard::from_bytes::<Kept>(row?.1.value()).ok());
            }
            Ok(kept)
        })
    }
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
