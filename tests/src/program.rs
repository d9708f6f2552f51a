//! Real programs as servers and proxies of the lab.

use std::{
    ffi::OsStr,
    fs::{self, OpenOptions},
    path::{Path, PathBuf},
    process::{Child, Stdio},
};

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::{
    ns::Namespace,
    ss,
    wait::{SOON, holds},
};

/// A program that runs in a namespace, killed on drop.
#[derive(Debug)]
pub struct Program {
    child: Child,
    log: PathBuf,
}

impl Program {
    /// Starts it and waits until it listens on a TCP port. What it says is in `log`.
    pub fn start(
        namespace: &Namespace,
        program: &str,
        arguments: &[impl AsRef<OsStr>],
        port: u16,
        log: &Path,
    ) -> Result<Self> {
        let started = Self::spawn(namespace, program, arguments, log)?;
        let listens = || ss::listens(namespace, port).unwrap_or_default();
        ensure!(holds(SOON, listens), "{program} does not listen: {}", started.log());
        Ok(started)
    }

    /// Starts it. What it says is in `log`.
    pub fn spawn(
        namespace: &Namespace,
        program: &str,
        arguments: &[impl AsRef<OsStr>],
        log: &Path,
    ) -> Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(log)?;
        let mut command = namespace.bound_command(program);
        command.args(arguments).stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let child = command.spawn().with_context(|| format!("{command:?}"))?;
        Ok(Self { child, log: log.to_owned() })
    }

    /// Asks it to end, and waits until it has.
    pub fn terminate(mut self) -> Result<()> {
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        let ended = holds(SOON, || self.child.try_wait().is_ok_and(|status| status.is_some()));
        ensure!(ended, "it does not end: {}", self.log());
        Ok(())
    }

    /// All that it has said.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts nginx with this `http` block, as a single process. Its files are in `directory`.
pub fn nginx(namespace: &Namespace, http: &str, port: u16, directory: &Path) -> Result<Program> {
    let shown = directory.display();
    let config = directory.join("nginx.conf");
    let text = format!(
        "daemon off; master_process off; pid {shown}/nginx.pid; error_log stderr;\n\
         events {{}}\n\
         http {{\n\
           client_body_temp_path {shown}/body; proxy_temp_path {shown}/proxy;\n\
           fastcgi_temp_path {shown}/fastcgi; uwsgi_temp_path {shown}/uwsgi;\n\
           scgi_temp_path {shown}/scgi;\n\
           access_log {shown}/access.log; {http}\n\
         }}\n"
    );
    fs::write(&config, text)?;
    let arguments = [OsStr::new("-c"), config.as_os_str()];
    Program::start(namespace, "nginx", &arguments, port, &directory.join("nginx.log"))
}

/// Starts HAProxy with these sections. Its files are in `directory`.
pub fn haproxy(
    namespace: &Namespace,
    sections: &str,
    port: u16,
    directory: &Path,
) -> Result<Program> {
    let config = directory.join("haproxy.cfg");
    let timeouts = "timeout connect 10s\n timeout client 1m\n timeout server 1m";
    fs::write(&config, format!("defaults\n mode tcp\n {timeouts}\n{sections}\n"))?;
    let arguments = [OsStr::new("-db"), OsStr::new("-f"), config.as_os_str()];
    Program::start(namespace, "haproxy", &arguments, port, &directory.join("haproxy.log"))
}
