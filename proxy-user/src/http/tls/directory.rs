//! `cert_dir`: pairs of files, loaded again where they change.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{self, ErrorKind},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::pair::Pair;

/// The pairs of a directory, each as it was when it was last good.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    pairs: BTreeMap<String, Watched>,
    /// Why the directory cannot be listed.
    fault: Option<String>,
}

/// `NAME.crt` and `NAME.key`.
#[derive(Debug, Default)]
struct Watched {
    seen: [Option<Seen>; 2],
    pair: Option<Arc<Pair>>,
    /// Why the files as they are now are not the pair in use.
    fault: Option<String>,
}

/// What tells one state of a file from another, behind all symbolic links: device, inode,
/// length, time of modification.
type Seen = (u64, u64, u64, i64, i64);

impl Directory {
    /// One of which nothing is read yet.
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), pairs: BTreeMap::new(), fault: None }
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Loads what changed, and says whether anything did. A pair that broke stays as it
    /// was; one whose files are both gone goes.
    pub(super) fn poll(&mut self) -> bool {
        let names = match names(&self.path) {
            Ok(names) => names,
            // Nobody has to have one.
            Err(error) if error.kind() == ErrorKind::NotFound && self.pairs.is_empty() => {
                BTreeSet::new()
            }
            Err(error) => {
                let fault = Some(format!("{}: {error}", self.path.display()));
                return std::mem::replace(&mut self.fault, fault.clone()) != fault;
            }
        };
        let mut changed = self.fault.take().is_some();
        let before = self.pairs.len();
        self.pairs.retain(|name, _| names.contains(name));
        changed |= self.pairs.len() != before;
        for name in names {
            let files = ["crt", "key"].map(|end| self.path.join(format!("{name}.{end}")));
            changed |= self.pairs.entry(name).or_default().poll(&files);
        }
        changed
    }

    /// The pairs that can be used, by name.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (&str, &Arc<Pair>)> {
        self.pairs
            .iter()
            .filter_map(|(name, watched)| Some((name.as_str(), watched.pair.as_ref()?)))
    }

    /// What is wrong with files, each by its name.
    pub(super) fn faults(&self) -> impl Iterator<Item = &str> {
        let pairs = self.pairs.values().filter_map(|watched| watched.fault.as_deref());
        self.fault.as_deref().into_iter().chain(pairs)
    }
}

impl Watched {
    fn poll(&mut self, files @ [certificate, key]: &[PathBuf; 2]) -> bool {
        // Looked at before they are read: what changes meanwhile is seen the next time.
        let seen = files.each_ref().map(|file| seen(file));
        // Files that are written in place can look the same when they are complete.
        if seen == self.seen && self.fault.is_none() {
            return false;
        }
        self.seen = seen;
        match Pair::read(certificate, key) {
            Ok(pair) => {
                self.pair = Some(Arc::new(pair));
                self.fault = None;
                true
            }
            Err(error) => {
                let fault = Some(error.to_string());
                std::mem::replace(&mut self.fault, fault.clone()) != fault
            }
        }
    }
}

/// The names of pairs, half ones too. Hidden files are not ours: a directory that is
/// replaced whole holds its versions in such.
fn names(directory: &Path) -> io::Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name();
        let Some(name) = name.to_str().filter(|name| !name.starts_with('.')) else { continue };
        if let Some(name) = name.strip_suffix(".crt").or_else(|| name.strip_suffix(".key")) {
            names.insert(name.to_owned());
        }
    }
    Ok(names)
}

fn seen(file: &Path) -> Option<Seen> {
    let metadata = fs::metadata(file).ok()?;
    Some((metadata.dev(), metadata.ino(), metadata.len(), metadata.mtime(), metadata.mtime_nsec()))
}
