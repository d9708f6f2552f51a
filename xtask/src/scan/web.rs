//! The Weir that is scanned: one site over TLS, before an nginx.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Result, ensure};
use weir_tests::{
    authority::Authority, names, ns::Namespace, program::Program, ss, wait, weir::Weir,
};

/// The site. Tools that resolve names find it without a name server.
pub(super) const DOMAIN: &str = "localhost";
/// Where it is served.
pub(super) const PORT: u16 = 8443;
/// Its targets' ports.
const TARGET: u16 = 9080;
const LARGE_TARGET: u16 = 9090;
/// Bytes of a page that no socket's buffers hold.
const LARGE: usize = 16 << 20;
/// The file descriptors that each program may have: an attack's connections, twice.
const FILES: u64 = 16_384;

/// A running one.
pub(super) struct Web<'a> {
    pub(super) namespace: &'a Namespace,
    pub(super) weir: Weir<'a>,
    authority: Authority,
}

/// Starts everything, has it looked at, and ends it.
pub(super) fn with<T>(binary: &Path, look: impl FnOnce(&Web<'_>) -> Result<T>) -> Result<T> {
    let directory = tempfile::TempDir::with_prefix(names::prefix())?;
    let namespace = Namespace::create("scan")?;
    namespace.sysctl("net/core/somaxconn", "4096")?;
    let directory = directory.path();
    fs::write(directory.join("large"), vec![b'x'; LARGE])?;
    let _target = target(&namespace, directory, TARGET)?;
    // Of its own: what is measured is not how fast the other one serves both.
    let _large = target(&namespace, directory, LARGE_TARGET)?;
    let authority = Authority::new(directory)?;
    let weir = Weir::install_from(&namespace, binary.to_owned())?;
    authority.issue(DOMAIN, &weir.path("certs"))?;
    let tables = format!(
        "[tls]\ncert_dir = '{}'\n[service.site]\ndomain = '{DOMAIN}'\nlisten = {PORT}\n\
         route = [{{ path = '/', target = 'http://127.0.0.1:{TARGET}' }},\n\
           {{ path = '/large', target = 'http://127.0.0.1:{LARGE_TARGET}' }}]\n",
        weir.path("certs").display(),
    );
    weir.configure("", &tables)?;
    let mut web = Web { namespace: &namespace, weir, authority };
    web.weir.launch()?;
    let found = look(&web)?;
    let status = web.weir.stop()?;
    let log = web.weir.log();
    ensure!(status.success() && !log.contains("panicked"), "weir: {status}: {log}");
    Ok(found)
}

/// nginx, which reads a request's body before it answers, as most applications do.
fn target(namespace: &Namespace, directory: &Path, port: u16) -> Result<Program> {
    let own = directory.join(format!("target-{port}"));
    fs::create_dir(&own)?;
    let (shown, root, behind) = (own.display(), directory.display(), port + 1);
    let config = own.join("nginx.conf");
    let text = format!(
        "daemon off; pid {shown}/target.pid; error_log {shown}/target.err;\n\
         worker_processes 1; worker_rlimit_nofile {FILES};\n\
         events {{ worker_connections 8192; }}\n\
         http {{ access_log off; client_body_temp_path {shown}/b; proxy_temp_path {shown}/p;\n\
           fastcgi_temp_path {shown}/f; uwsgi_temp_path {shown}/u; scgi_temp_path {shown}/s;\n\
           server {{ listen 127.0.0.1:{port} backlog=4096; root {root};\n\
             add_header Strict-Transport-Security max-age=31536000 always;\n\
             add_header X-Content-Type-Options nosniff always;\n\
             add_header X-Frame-Options DENY always;\n\
             add_header Content-Security-Policy \"default-src 'self'\" always;\n\
             location = /large {{ }}\n\
             location / {{ proxy_pass http://127.0.0.1:{behind}; }} }}\n\
           server {{ listen 127.0.0.1:{behind} backlog=4096; return 200 ok; }} }}\n"
    );
    fs::write(&config, text)?;
    let arguments = [PathBuf::from("-c"), config];
    let log = own.join("nginx.log");
    let started = Program::spawn(namespace, "nginx", &arguments, &log)?;
    let listens = || ss::listens(namespace, behind).unwrap_or(false);
    ensure!(wait::holds(wait::SOON, listens), "nginx does not listen: {}", started.log());
    Ok(started)
}

impl Web<'_> {
    /// The authority that its certificate is of.
    pub(super) fn authority(&self) -> PathBuf {
        self.authority.certificate()
    }

    /// A program in its namespace.
    pub(super) fn command(&self, program: &str) -> Command {
        self.namespace.bound_command(program)
    }
}

/// The address of one of its pages.
pub(super) fn url(path: &str) -> String {
    format!("https://{DOMAIN}:{PORT}{path}")
}
