//! What all of them forward to: an nginx that keeps connections and serves from memory.

use std::{
    fs,
    net::{IpAddr, SocketAddr},
    path::Path,
};

use anyhow::Result;
use weir_tests::ns::Namespace;

use super::super::load::{Running, WEB, wait_for};

/// Paths of the answers, and their bytes.
pub(super) const SMALL: (&str, usize) = ("/1k", 1024);
pub(super) const LARGE: (&str, usize) = ("/100k", 100 * 1024);

/// The target; it ends with this.
pub(super) struct Target {
    pub(super) address: SocketAddr,
    _process: Running,
}

pub(super) fn start(namespace: &Namespace, address: IpAddr, dir: &Path) -> Result<Target> {
    let pages = dir.join("pages");
    fs::create_dir(&pages)?;
    for (path, bytes) in [SMALL, LARGE] {
        fs::write(pages.join(path.trim_start_matches('/')), "x".repeat(bytes))?;
    }
    let config = dir.join("target.conf");
    // Files that are open and were read lately lie in the page cache.
    let text = format!(
        "daemon off; user root; pid {0}/target.pid; error_log {0}/target.log; worker_processes 1;
         events {{ worker_connections 4096; }}
         http {{ access_log off; keepalive_requests 1000000000; sendfile on; tcp_nopush on;
                 open_file_cache max=16;
                 client_body_temp_path {0}/tb; proxy_temp_path {0}/tp; fastcgi_temp_path {0}/tf;
                 uwsgi_temp_path {0}/tu; scgi_temp_path {0}/ts;
                 server {{ listen {WEB} reuseport backlog=4096; root {0}/pages; }} }}",
        dir.display()
    );
    fs::write(&config, text)?;
    let process = Running::start(namespace, "nginx", &["-c", &config.to_string_lossy()])?;
    wait_for(namespace, WEB)?;
    Ok(Target { address: SocketAddr::new(address, WEB), _process: process })
}
