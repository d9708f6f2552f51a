//! The key that seals logins under way. It is kept, so that a restart ends none of them.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    rand::{SecureRandom, SystemRandom},
};

const FILE: &str = "sso.key";
const LENGTH: usize = 32;

/// Seals with AES-256-GCM. Nonces are random: 2^32 logins are far off.
pub(super) struct Key {
    key: LessSafeKey,
    random: SystemRandom,
}

impl Key {
    /// Reads `sso.key` in a directory, or makes it.
    pub(super) fn kept(directory: &Path) -> io::Result<Self> {
        let path = directory.join(FILE);
        let secret = match read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => create(&path),
            read => read,
        };
        let named =
            |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        Self::from(&secret.map_err(named)?)
    }

    fn from(secret: &[u8; LENGTH]) -> io::Result<Self> {
        let key = UnboundKey::new(&AES_256_GCM, secret).map_err(unspecified)?;
        Ok(Self { key: LessSafeKey::new(key), random: SystemRandom::new() })
    }

    /// What only this key opens, and only by the same name. An error where the system has
    /// no randomness.
    pub(super) fn seal(&self, name: &str, mut plain: Vec<u8>) -> io::Result<Vec<u8>> {
        let mut nonce = [0; NONCE_LEN];
        self.random.fill(&mut nonce).map_err(unspecified)?;
        let (aad, once) = (Aad::from(name.as_bytes()), Nonce::assume_unique_for_key(nonce));
        self.key.seal_in_place_append_tag(once, aad, &mut plain).map_err(unspecified)?;
        Ok([&nonce[..], &plain].concat())
    }

    /// What was sealed by that name; `None`: nothing was.
    pub(super) fn open(&self, name: &str, sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let (aad, once) = (Aad::from(name.as_bytes()), Nonce::assume_unique_for_key(*nonce));
        let mut opened = sealed.to_vec();
        let length = self.key.open_in_place(once, aad, &mut opened).ok()?.len();
        opened.truncate(length);
        Some(opened)
    }
}

/// ring does not say more.
fn unspecified(_: ring::error::Unspecified) -> io::Error {
    io::Error::other("no randomness, or no cipher")
}

fn read(path: &Path) -> io::Result<[u8; LENGTH]> {
    let mut bytes = Vec::with_capacity(LENGTH);
    File::open(path)?.take(LENGTH as u64 + 1).read_to_end(&mut bytes)?;
    bytes.try_into().map_err(|_| {
        io::Error::new(io::ErrorKind::InvalidData, "not a key; remove it, and a new one is made")
    })
}

/// Makes the key beside its place and links it there, so that nobody reads half of it and
/// of two processes that start at once one gives way.
fn create(path: &Path) -> io::Result<[u8; LENGTH]> {
    let mut secret = [0; LENGTH];
    SystemRandom::new().fill(&mut secret).map_err(unspecified)?;
    let beside = path.with_extension(format!("key.{}", uuid::Uuid::now_v7().simple()));
    let linked = write(&beside, &secret).and_then(|()| fs::hard_link(&beside, path));
    // What is left of it is a key that was never used.
    let _ = fs::remove_file(&beside);
    match linked {
        Ok(()) => Ok(secret),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => read(path),
        Err(error) => Err(error),
    }
}

fn write(path: &Path, secret: &[u8]) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(secret)?;
    file.sync_all()
}
