//! The structure that ARCHITECTURE.md promises: rooms import only lower ones, files
//! stay small.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

const LONGEST: usize = 400;
const SOURCES: &str = "proxy-user/src";

pub(crate) fn check() -> Result<()> {
    let mut faults = Vec::new();
    let rooms = rooms()?;
    for file in sources(Path::new("."))? {
        let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        let lines = text.lines().count();
        if lines > LONGEST {
            faults.push(format!("{}: {lines} lines, more than {LONGEST}", file.display()));
        }
        if let Ok(inner) = file.strip_prefix(Path::new(".").join(SOURCES)) {
            faults.extend(upward_imports(inner, &text, &rooms));
        }
    }
    if !faults.is_empty() {
        bail!("{}", faults.join("\n"));
    }
    Ok(())
}

/// The rooms, lowest first, from the table in ARCHITECTURE.md.
fn rooms() -> Result<Vec<String>> {
    let text = fs::read_to_string("ARCHITECTURE.md").context("ARCHITECTURE.md")?;
    let table = text.lines().skip_while(|line| !line.starts_with("| room |")).skip(2);
    let rooms: Vec<String> = table
        .map_while(|line| Some(line.strip_prefix("| `")?.split('`').next()?.to_owned()))
        .collect();
    if rooms.is_empty() {
        bail!("ARCHITECTURE.md has no table of rooms");
    }
    Ok(rooms)
}

fn upward_imports(inner: &Path, text: &str, rooms: &[String]) -> Vec<String> {
    let first = inner.iter().next().and_then(|part| part.to_str()).unwrap_or("");
    let own = first.trim_end_matches(".rs");
    let Some(place) = rooms.iter().position(|room| room == own) else { return Vec::new() };
    let higher = rooms[place + 1..].iter().filter(|room| imports(text, room));
    higher
        .map(|room| format!("{SOURCES}/{}: imports {room}, which is above {own}", inner.display()))
        .collect()
}

/// `crate::ROOM`, or `ROOM::` inside `use crate::{...}`.
fn imports(text: &str, room: &str) -> bool {
    if text.contains(&format!("crate::{room}::")) {
        return true;
    }
    text.split("use crate::{").skip(1).any(|block| {
        let block = block.split("\n};").next().unwrap_or("");
        let wanted = [format!("{room}::"), format!("{room},")];
        block
            .split([' ', '\n', '{'])
            .any(|word| wanted.iter().any(|w| word.starts_with(w.as_str())))
    })
}

fn sources(root: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root).with_context(|| root.display().to_string())? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default();
        if path.is_dir() && name != "target" && name != ".git" {
            found.extend(sources(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    Ok(found)
}
