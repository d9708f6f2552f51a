//! The files of a configuration: the main one and what it includes, as one table.

use std::{
    fs,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use super::{
    fault::{At, Report, Source},
    fields::Fields,
    tree::{Table, parse},
};

/// What is included unless the file says otherwise, beside the file.
const INCLUDE: &str = "conf.d/*.toml";
/// What makes a path a pattern, which may match nothing.
const WILDCARDS: [char; 3] = ['*', '?', '['];

/// The merged files, and their digest.
pub(super) fn read(path: &Path, report: &mut Report) -> (Table, [u8; 32]) {
    let mut reader = Reader { digest: Sha256::new(), report };
    let mut root = reader.file(path).unwrap_or_default();
    // What a file that cannot be parsed includes is not known.
    if reader.report.is_clean() {
        reader.include(&mut root, path.parent().unwrap_or(Path::new("")));
    }
    (root, reader.digest.finalize().into())
}

struct Reader<'r> {
    digest: Sha256,
    report: &'r mut Report,
}

impl Reader<'_> {
    /// Reads one file; a file that cannot be read is a fault at its beginning.
    fn file(&mut self, path: &Path) -> Option<Table> {
        let file = self.report.sources.len();
        let read = fs::read(path).map_err(|error| error.to_string()).and_then(|bytes| {
            self.digest.update(&bytes);
            String::from_utf8(bytes).map_err(|error| format!("is not UTF-8: {error}"))
        });
        let (text, failure) = match read {
            Ok(text) => (text, None),
            Err(why) => (String::new(), Some(why)),
        };
        self.report.sources.push(Source { path: path.to_owned(), text: text.clone() });
        if let Some(why) = failure {
            self.report.fault(At { file, offset: 0 }, format!("cannot be read: {why}"));
            return None;
        }
        Some(parse(file, &text, self.report))
    }

    /// Merges what `include` names, in the order of the patterns and then of names.
    fn include(&mut self, root: &mut Table, base: &Path) {
        let start = At { file: 0, offset: 0 };
        let mut fields = Fields::unchecked(root, start, self.report);
        let mut patterns = fields.strings("include");
        if fields.node("include").is_none() {
            patterns.push((INCLUDE, start));
        }
        let patterns: Vec<(String, At)> =
            patterns.into_iter().map(|(pattern, at)| (pattern.to_owned(), at)).collect();
        for (pattern, at) in patterns {
            let files = matches(base, &pattern).unwrap_or_else(|why| {
                self.report.fault(at, format!("include {pattern:?}: {why}"));
                Vec::new()
            });
            for file in files {
                let Some(mut table) = self.file(&file) else { continue };
                for entry in table.entries.extract_if(.., |entry| entry.key == "include") {
                    self.report.fault(entry.at, "an included file includes no others");
                }
                root.merge(table, self.report);
            }
        }
    }
}

/// The files of a pattern, or the one that a path names, which must be there.
fn matches(base: &Path, pattern: &str) -> Result<Vec<PathBuf>, String> {
    if !pattern.contains(WILDCARDS) {
        let file = base.join(pattern);
        return fs::metadata(&file).map(|_| vec![file]).map_err(|error| error.to_string());
    }
    // Alone, so that an error tells the place in it.
    glob::Pattern::new(pattern).map_err(|error| error.to_string())?;
    let base = base.to_str().ok_or("the directory's name is not UTF-8")?;
    let full = Path::new(&glob::Pattern::escape(base)).join(pattern);
    let paths = glob::glob(&full.to_string_lossy()).map_err(|error| error.to_string())?;
    paths.collect::<Result<_, _>>().map_err(|error| error.to_string())
}

/// Where things are of a configuration that may be faulty elsewhere, for commands
/// that must find the daemon in any case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Whereabouts {
    /// `runtime_dir`, where it can be read.
    pub runtime_dir: Option<PathBuf>,
    /// `kernel.bpffs`, where it can be read.
    pub bpffs: Option<PathBuf>,
}

/// Reads where things are, whatever else is wrong.
pub fn whereabouts(path: &Path) -> Whereabouts {
    let mut report = Report::default();
    let (root, _) = read(path, &mut report);
    let start = At { file: 0, offset: 0 };
    let mut top = Fields::unchecked(&root, start, &mut report);
    let runtime_dir = top.path("runtime_dir");
    let kernel = top.table("kernel");
    let bpffs =
        kernel.and_then(|(table, at)| Fields::unchecked(table, at, &mut report).path("bpffs"));
    Whereabouts { runtime_dir, bpffs }
}
