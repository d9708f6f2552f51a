//! Test programs, and the daemon that they start, built by one call of cargo: of packages
//! that are built one by one, each would have its dependencies with other features, and so
//! built once more.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::{
    build::object_from_here,
    process::{cargo, output},
};

const PACKAGES: [&str; 3] =
    ["--package=proxy-common", "--package=proxy-user", "--package=weir-tests"];

/// A test program.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Program {
    executable: PathBuf,
    /// Of its package, where cargo would run it.
    directory: PathBuf,
}

impl Program {
    /// As cargo knows it.
    pub(crate) fn name(&self) -> &str {
        let file = self.executable.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        file.rsplit_once('-').map_or(file, |(name, _hash)| name)
    }

    /// A line that tells where it is, for [`Program::from_line`].
    pub(crate) fn to_line(&self) -> Result<String> {
        let path = |path: &'_ Path| path.to_str().map(str::to_owned).context("a path in UTF-8");
        Ok(format!("{}\t{}", path(&self.directory)?, path(&self.executable)?))
    }

    pub(crate) fn from_line(line: &str) -> Result<Self> {
        let (directory, executable) = line.split_once('\t').context("a line without a tab")?;
        Ok(Self { executable: executable.into(), directory: directory.into() })
    }

    /// Runs all its tests.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.executable);
        command.current_dir(&self.directory);
        command
    }
}

/// Builds what is not up to date, and gives the programs of a package.
pub(crate) fn of(package: &str) -> Result<Vec<Program>> {
    let mut build = cargo();
    build.args(["test", "--no-run", "--quiet", "--message-format=json-render-diagnostics"]);
    let messages = output(object_from_here(build.args(PACKAGES)))?;
    let mut programs = Vec::new();
    for line in messages.lines() {
        let message = serde_json::from_str(line).with_context(|| format!("cargo said {line:?}"))?;
        programs.extend(program(&message, package));
    }
    ensure!(!programs.is_empty(), "{package} has no test programs");
    programs.sort_by(|a, b| a.executable.cmp(&b.executable));
    Ok(programs)
}

/// The test program of which a message of cargo's tells, where it is one of the package's.
fn program(message: &Value, package: &str) -> Option<Program> {
    let id = message["package_id"].as_str()?;
    // Cargo leaves the name out where the directory has it.
    let names = [format!("#{package}@"), format!("/{package}#")];
    let is_of_package = names.iter().any(|name| id.contains(name));
    let is_test = message["profile"]["test"] == true;
    (is_of_package && is_test).then_some(())?;
    let executable = message["executable"].as_str()?.into();
    let directory = Path::new(message["manifest_path"].as_str()?).parent()?.to_owned();
    Some(Program { executable, directory })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn programs_are_the_tests_of_one_package() {
        let message = |package, is_test| {
            json!({
                "reason": "compiler-artifact",
                "package_id": format!("path+file:///weir/tests#{package}@0.1.0"),
                "manifest_path": "/weir/tests/Cargo.toml",
                "profile": { "test": is_test },
                "executable": "/weir/target/debug/deps/udp-0",
            })
        };
        let mut own = message("", true);
        own["package_id"] = "path+file:///weir/proxy-common#0.1.0".into();
        assert!(program(&own, "proxy-common").is_some());
        let expected = Program {
            executable: "/weir/target/debug/deps/udp-0".into(),
            directory: "/weir/tests".into(),
        };
        assert_eq!(expected.name(), "udp");
        let line = expected.to_line().unwrap_or_default();
        assert_eq!(Program::from_line(&line).ok().as_ref(), Some(&expected));
        assert_eq!(program(&message("weir-tests", true), "weir-tests"), Some(expected));
        assert_eq!(program(&message("proxy-user", true), "weir-tests"), None);
        assert_eq!(program(&message("weir-tests", false), "weir-tests"), None);
        assert_eq!(program(&json!({ "reason": "build-finished" }), "weir-tests"), None);
    }
}
