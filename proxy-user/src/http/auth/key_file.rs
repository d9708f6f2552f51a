//! Keys that a restart must not lose.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

use super::random::random;

const LENGTH: usize = 32;

/// Reads a key in a directory, or makes it, and the directory too.
///
/// # Errors
/// That cannot be done, or there is a file that is no key.
pub(in crate::http) fn kept(directory: &Path, name: &str) -> io::Result<[u8; LENGTH]> {
    let path = directory.join(name);
    let named =
        |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(named)?;
    let key = match read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => create(&path),
        read => read,
    };
    key.map_err(named)
}

fn read(path: &Path) -> io::Result<[u8; LENGTH]> {
    let mut bytes = Vec::with_capacity(LENGTH);
    File::open(path)?.take(LENGTH as u64 + 1).read_to_end(&mut bytes)?;
    bytes.try_into().map_err(|_| {
        let what = "not a key of 32 bytes; remove it, and a new one is made";
        io::Error::new(io::ErrorKind::InvalidData, what)
    })
}

/// Makes the key beside its place and links it there, so that nobody reads half of it and
/// of two processes that start at once one gives way.
fn create(path: &Path) -> io::Result<[u8; LENGTH]> {
    let secret = random().map_err(io::Error::other)?;
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
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(secret)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::{os::unix::fs::PermissionsExt, thread};

    use super::*;

    #[test]
    fn a_key_outlives_a_restart_and_nothing_else_is_left() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("data");
        let key = kept(&path, "auth.key").unwrap();
        assert_eq!(kept(&path, "auth.key").unwrap(), key);
        let mode = fs::metadata(path.join("auth.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(fs::read_dir(&path).unwrap().count(), 1);
    }

    #[test]
    fn processes_that_start_at_once_have_one_key() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let keys: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> =
                (0..8).map(|_| scope.spawn(move || kept(path, "auth.key").unwrap())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(keys.iter().all(|key| *key == keys[0]));
    }

    #[test]
    fn a_file_that_is_no_key_is_named() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("auth.key"), "short").unwrap();
        let error = kept(directory.path(), "auth.key").unwrap_err().to_string();
        assert!(error.contains("auth.key: not a key"), "{error}");
    }
}
