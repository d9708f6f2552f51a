//! The proxies that are compared, each as its manual recommends, each with its usual
//! access log, connections to clients and target kept, and sessions of TLS not resumed.

use std::{
    fs::{self, File},
    net::SocketAddr,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use weir_tests::{ns::Namespace, tls::Certificate, weir::Weir};

use super::{
    super::{load::Running, proxies::Started},
    DOMAIN,
};
use crate::process::output;

/// The port that they publish.
pub(super) const HTTPS: u16 = 443;

/// What forwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Proxy {
    Weir,
    Nginx,
    Haproxy,
    Caddy,
}

/// What all of them are given.
pub(super) struct Setting<'a> {
    pub(super) namespace: &'a Namespace,
    pub(super) target: SocketAddr,
    pub(super) certificate: &'a Certificate,
    /// For configurations and logs.
    pub(super) directory: &'a Path,
    pub(super) weir: &'a Path,
}

impl Proxy {
    pub(super) const ALL: [Self; 4] = [Self::Weir, Self::Nginx, Self::Haproxy, Self::Caddy];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Weir => "weir",
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
            Self::Caddy => "caddy",
        }
    }

    /// Where a request is noted.
    pub(super) const fn access_log(self) -> &'static str {
        match self {
            Self::Weir => "records in its store, durable after 100 ms",
            Self::Nginx => "combined, to a file, a write for each",
            Self::Haproxy => "httplog, to standard output into a file",
            Self::Caddy => "JSON, to a file",
        }
    }

    /// Starts it.
    pub(super) fn start<'a>(self, setting: &Setting<'a>) -> Result<Started<'a>> {
        let Setting { namespace, target, certificate, directory, weir: build } = *setting;
        let config = directory.join(format!("{}.conf", self.name()));
        let text = match self {
            Self::Weir => {
                return weir(namespace, build, target, certificate).map(Started::Weir);
            }
            Self::Nginx => nginx(setting),
            Self::Haproxy => haproxy(setting)?,
            Self::Caddy => caddy(setting).to_string(),
        };
        fs::write(&config, text).with_context(|| config.display().to_string())?;
        let config = config.to_string_lossy();
        // What it says before it has read where to log goes to standard error.
        let caddy =
            format!("XDG_DATA_HOME={} exec caddy run --config {config} 2>&1", directory.display());
        let (program, arguments) = match self {
            Self::Haproxy => ("haproxy", vec!["-db", "-f", &config]),
            Self::Caddy => ("sh", vec!["-c", caddy.as_str()]),
            Self::Weir | Self::Nginx => ("nginx", vec!["-g", "daemon off;", "-c", &config]),
        };
        let log = File::create(directory.join(format!("{}.out", self.name())))?;
        let process = Running::start_into(namespace, program, &arguments, Stdio::from(log))?;
        Ok(Started::Other { process })
    }
}

/// What was compared with.
pub(super) fn versions() -> Result<Value> {
    let version = |package| {
        output(Command::new("dpkg-query").args(["-f", "${Version}", "-W", package]))
            .map(|version| json!({ package: version }))
    };
    ["nginx", "haproxy", "caddy", "nghttp2-client"].into_iter().map(version).collect()
}

/// A build of Weir.
pub(super) fn weir<'a>(
    namespace: &'a Namespace,
    build: &Path,
    target: SocketAddr,
    certificate: &Certificate,
) -> Result<Weir<'a>> {
    let mut weir = Weir::install_from(namespace, build.to_owned())?;
    let certificates = weir.path("certs");
    fs::create_dir(&certificates)?;
    fs::copy(&certificate.certificate, certificates.join("app.crt"))?;
    fs::copy(&certificate.key, certificates.join("app.key"))?;
    let tables = format!(
        "[tls]\ncert_dir = '{}'\nself_signed = false\n\
         [service.app]\ndomain = '{DOMAIN}'\ntarget = 'http://{target}'\nredirect_http = false\n",
        certificates.display(),
    );
    weir.configure("", &tables)?;
    weir.launch()?;
    Ok(weir)
}

fn nginx(setting: &Setting<'_>) -> String {
    format!(
        "pid {dir}/nginx.pid; error_log {dir}/nginx.err; worker_processes auto;
         events {{ worker_connections 4096; }}
         http {{
           access_log {dir}/nginx-access.log combined;
           keepalive_requests 1000000000;
           client_body_temp_path {dir}/b; proxy_temp_path {dir}/p; fastcgi_temp_path {dir}/f;
           uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;
           ssl_protocols TLSv1.2 TLSv1.3; ssl_session_tickets off; ssl_session_cache off;
           ssl_certificate {certificate}; ssl_certificate_key {key};
           upstream target {{ server {target}; keepalive 128; keepalive_requests 1000000000; }}
           server {{
             listen {HTTPS} ssl http2 reuseport backlog=4096; server_name {DOMAIN};
             location / {{
               proxy_pass http://target; proxy_http_version 1.1;
               proxy_set_header Connection \"\"; proxy_set_header Host $host;
               proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
               proxy_buffers 16 8k;
             }}
           }}
         }}",
        dir = setting.directory.display(),
        certificate = setting.certificate.certificate.display(),
        key = setting.certificate.key.display(),
        target = setting.target,
    )
}

/// Its configuration, and the file beside it that has certificate and key in one.
fn haproxy(setting: &Setting<'_>) -> Result<String> {
    let both = setting.directory.join("haproxy.pem");
    let certificate = fs::read_to_string(&setting.certificate.certificate)?;
    fs::write(&both, certificate + &fs::read_to_string(&setting.certificate.key)?)?;
    Ok(format!(
        "global\n maxconn 4000\n log stdout format raw local0\n tune.ssl.cachesize 0\n\
         ssl-default-bind-options ssl-min-ver TLSv1.2 no-tls-tickets\n\
         defaults\n mode http\n log global\n option httplog\n option forwardfor\n\
         http-reuse always\n\
         timeout connect 10s\n timeout client 1h\n timeout server 1h\n\
         listen app\n bind :{HTTPS} ssl crt {} alpn h2,http/1.1\n server target {}\n",
        both.display(),
        setting.target,
    ))
}

fn caddy(setting: &Setting<'_>) -> Value {
    let directory = setting.directory;
    let access_log = directory.join("caddy-access.log");
    json!({
        "admin": { "disabled": true, "config": { "persist": false } },
        "storage": { "module": "file_system", "root": directory.join("caddy") },
        "logging": { "logs": {
            "default": {
                "writer": { "output": "file", "filename": directory.join("caddy.log") },
                "exclude": ["http.log.access"],
            },
            "access": {
                "writer": { "output": "file", "filename": access_log },
                "include": ["http.log.access"],
            },
        } },
        "apps": {
            "tls": {
                "certificates": { "load_files": [{
                    "certificate": setting.certificate.certificate,
                    "key": setting.certificate.key,
                }] },
                "session_tickets": { "disabled": true },
            },
            "http": { "servers": { "app": {
                "listen": [format!(":{HTTPS}")],
                "logs": {},
                "automatic_https": { "disable": true },
                "tls_connection_policies": [{}],
                "routes": [{ "handle": [{
                    "handler": "reverse_proxy",
                    "upstreams": [{ "dial": setting.target.to_string() }],
                    "transport": {
                        "protocol": "http",
                        "keep_alive": { "max_idle_conns_per_host": 128 },
                    },
                }] }],
            } } },
        },
    })
}
