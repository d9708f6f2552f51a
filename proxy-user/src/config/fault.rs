//! What is wrong with a configuration, and where.

use std::{
    fmt,
    path::{Path, PathBuf},
};

/// One fault or warning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The file.
    pub file: PathBuf,
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file.display(), self.line, self.column, self.message)
    }
}

/// A place, for a fault that is found later.
#[derive(Clone, Debug)]
pub(super) struct Spot(Fault);

impl Spot {
    pub(super) fn file(&self) -> &Path {
        &self.0.file
    }

    pub(super) fn with(&self, message: String) -> Fault {
        Fault { message, ..self.0.clone() }
    }
}

/// Every fault of a configuration, in the order of files and lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faults(pub Vec<Fault>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            fault.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

/// A place in one of the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct At {
    pub(super) file: usize,
    /// Byte offset.
    pub(super) offset: usize,
}

/// A file that was read.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) path: PathBuf,
    pub(super) text: String,
}

/// Collects faults while a configuration is read.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) sources: Vec<Source>,
    faults: Vec<(At, String)>,
    warnings: Vec<(At, String)>,
}

impl Report {
    pub(super) fn fault(&mut self, at: At, message: impl Into<String>) {
        self.faults.push((at, message.into()));
    }

    /// Whether no fault was found so far.
    pub(super) fn is_clean(&self) -> bool {
        self.faults.is_empty()
    }

    pub(super) fn warn(&mut self, at: At, message: impl Into<String>) {
        self.warnings.push((at, message.into()));
    }

    pub(super) fn spot(&self, at: At) -> Spot {
        Spot(self.locate(&(at, String::new())))
    }

    /// `F:LINE:COL` of a place.
    pub(super) fn place(&self, at: At) -> String {
        let fault = self.locate(&(at, String::new()));
        format!("{}:{}:{}", fault.file.display(), fault.line, fault.column)
    }

    /// Faults and warnings, in the order of files and lines.
    pub(super) fn finish(mut self) -> (Vec<Fault>, Vec<Fault>) {
        self.faults.sort();
        self.warnings.sort();
        let all = |list: &[(At, String)]| list.iter().map(|found| self.locate(found)).collect();
        (all(&self.faults), all(&self.warnings))
    }

    fn locate(&self, (at, message): &(At, String)) -> Fault {
        let (file, text) = match self.sources.get(at.file) {
            Some(source) => (source.path.clone(), source.text.as_str()),
            None => (PathBuf::new(), ""),
        };
        let before = text.get(..at.offset.min(text.len())).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Fault {
            file,
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            message: message.clone(),
        }
    }
}
