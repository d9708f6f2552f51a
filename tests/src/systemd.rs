//! The machine's own systemd as a service manager for one service, beside whatever runs
//! the machine.
//!
//! It is a user instance in namespaces and a control group of its own: nothing of the
//! machine's units is known to it, and nothing of the machine's processes is touched.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result, ensure};

use crate::{
    lab::Lab,
    ns::{self, Namespace},
    skip::skip,
    wait::{SOON, eventually, holds},
    weir::{Weir, binary},
};

const SYSTEMD: &str = "/lib/systemd/systemd";
/// Where control groups of version 2, of both versions, and of version 1 are.
const HIERARCHIES: [&str; 3] =
    ["/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd"];

/// Enters a control group: a manager moves every process of its own into another.
const ENTER: &str = r#"
for hierarchy in $HIERARCHIES; do
    if [ -e "$hierarchy/cgroup.procs" ]; then
        mkdir "$hierarchy/$GROUP"
        echo $$ > "$hierarchy/$GROUP/cgroup.procs"
    fi
done
if grep -Eq '^(0:|[0-9]+:name=systemd):/$' /proc/self/cgroup; then
    echo 'no control group of its own' >&2
    exit 1
fi
exec unshare --mount --pid --fork --kill-child --mount-proc sh -euc "$RUN"
"#;

/// A user instance looks whether the machine was booted with systemd.
const RUN: &str = r#"
mount --make-rprivate /
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/system
"$SYSTEMD" --user --unit=lab.target &
wait $!
"#;

/// It. Everything that it started ends with it.
#[derive(Debug)]
pub struct Manager {
    process: Child,
    directory: PathBuf,
    group: String,
}

impl Manager {
    /// Starts one in a namespace, with one unit; `None` where there is no systemd.
    /// `directory` is for what it has to keep.
    pub fn start(
        namespace: &Namespace,
        directory: &Path,
        (unit, text): (&str, &str),
    ) -> Result<Option<Self>> {
        if !Path::new(SYSTEMD).exists()
            || ns::run(Command::new("systemctl").arg("--version")).is_err()
        {
            skip("there is no systemd on this machine");
            return Ok(None);
        }
        let units = directory.join("units");
        fs::create_dir_all(&units)?;
        fs::write(units.join(unit), text)?;
        fs::write(units.join("lab.target"), "[Unit]\nDefaultDependencies=no\n")?;
        let group = format!("{}-systemd", namespace.name());
        let log = fs::File::create(directory.join("systemd.log"))?;
        let mut command = namespace.bound_command("sh");
        command
            .args(["-euc", ENTER])
            .env("HIERARCHIES", HIERARCHIES.join(" "))
            .env("GROUP", &group)
            .env("RUN", RUN)
            .env("SYSTEMD", SYSTEMD)
            .env("SYSTEMD_UNIT_PATH", &units)
            .env("XDG_RUNTIME_DIR", directory)
            .env("XDG_CONFIG_HOME", directory)
            .env("HOME", directory);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let process = command.spawn().with_context(|| format!("{command:?}"))?;
        let mut manager = Self { process, directory: directory.to_owned(), group };
        let up = eventually(SOON, || {
            let answers = manager.ask(&["list-units"]).is_ok();
            if answers { Some(true) } else { manager.has_ended().then_some(false) }
        });
        ensure!(
            up == Some(true),
            "systemd does not run: {}{:?}",
            manager.said(),
            manager.ask(&["list-units"])
        );
        Ok(Some(manager))
    }

    /// Has it do something; what `systemctl` says. It listens to processes that it can
    /// see only.
    pub fn ask(&self, arguments: &[&str]) -> Result<String> {
        let unshare = self.process.id();
        let children = fs::read_to_string(format!("/proc/{unshare}/task/{unshare}/children"))?;
        let mut command = Command::new("nsenter");
        command.args(["--target", children.trim(), "--mount", "--pid", "systemctl", "--user"]);
        command.args(arguments).env("XDG_RUNTIME_DIR", &self.directory);
        ns::run(command.env_remove("DBUS_SESSION_BUS_ADDRESS"))
    }

    /// One of a unit's properties.
    pub fn property(&self, unit: &str, name: &str) -> Result<String> {
        let told = self.ask(&["show", "--value", "--property", name, unit])?;
        Ok(told.trim_end().to_owned())
    }

    fn has_ended(&mut self) -> bool {
        self.process.try_wait().is_ok_and(|status| status.is_some())
    }

    fn said(&self) -> String {
        fs::read_to_string(self.directory.join("systemd.log")).unwrap_or_default()
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        // A group can be removed when its last process is gone.
        let gone = holds(SOON, || {
            for group in groups(&self.group) {
                remove(&group);
            }
            groups(&self.group).is_empty()
        });
        if !gone {
            eprintln!("control groups stay: {:?}", groups(&self.group));
        }
    }
}

/// The name of the unit that [`serve`] starts.
pub const UNIT: &str = "weir.service";

/// Installs Weir, with one relayed service among `tables`, as a service of a systemd of its
/// own, and starts it.
pub fn serve<'a>(lab: &'a Lab, tables: &str) -> Result<Option<(Manager, Weir<'a>)>> {
    let weir = Weir::install(&lab.server)?;
    weir.configure("", tables)?;
    let unit = (UNIT, &*unit(&weir)?);
    let Some(manager) = Manager::start(&lab.server, &weir.path("manager"), unit)? else {
        return Ok(None);
    };
    manager.ask(&["start", UNIT]).with_context(|| weir.log())?;
    // Every address is a socket for each family.
    ensure!(manager.property(UNIT, "NFileDescriptorStore")? == "2", "{}", weir.log());
    Ok(Some((manager, weir)))
}

/// What the packaged unit says of the descriptor store, in a unit for this Weir.
fn unit(weir: &Weir<'_>) -> Result<String> {
    let packaged = include_str!("../../packaging/weir.service");
    let kept = ["Type=", "FileDescriptorStoreMax=", "Environment=", "TimeoutStopSec="];
    let kept = packaged.lines().filter(|line| kept.iter().any(|key| line.starts_with(key)));
    Ok(format!(
        "[Unit]\nDefaultDependencies=no\nStartLimitIntervalSec=0\n[Service]\n{}\n\
         ExecStart={} run --config {}\nStandardOutput=append:{log}\nStandardError=append:{log}\n\
         Restart=always\nRestartSec=0\n",
        kept.collect::<Vec<_>>().join("\n"),
        binary()?.display(),
        weir.config().display(),
        log = weir.path("weir.log").display(),
    ))
}

/// The control groups of that name, in all hierarchies.
fn groups(name: &str) -> Vec<PathBuf> {
    let root = Path::new(HIERARCHIES[0]);
    let mounts = fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path());
    let all = mounts.chain([root.to_owned()]).map(|hierarchy| hierarchy.join(name));
    all.filter(|group| group.is_dir()).collect()
}

/// Removes a control group and those in it.
fn remove(group: &Path) {
    for entry in fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            remove(&entry.path());
        }
    }
    // It fails as long as there is a process in it.
    let _ = fs::remove_dir(group);
}
