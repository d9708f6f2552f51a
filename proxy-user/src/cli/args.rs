//! What can be written on the command line.

use std::{net::IpAddr, path::PathBuf};

use clap::{Parser, Subcommand, ValueEnum};

/// A host firewall-proxy: publishes services, drops who may not reach them in the
/// kernel, and keeps one record of every connection and denied attempt.
#[derive(Debug, Parser)]
#[command(name = "weir", version, max_term_width = 100)]
pub(super) struct Args {
    /// The configuration
    #[arg(long, global = true, value_name = "FILE", default_value = "/etc/weir/weir.toml")]
    pub(super) config: PathBuf,
    /// The daemon's control socket [default: `weir.sock` in the configured `runtime_dir`]
    #[arg(long, global = true, value_name = "PATH")]
    pub(super) socket: Option<PathBuf>,
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run the daemon; it takes over from one that runs by the same configuration
    Run(Run),
    /// Validate the configuration as `run` does, without touching the kernel
    Check,
    /// Tell whether an address may reach the services, and why
    Explain(Explain),
    /// Show records
    Events(Box<Events>),
    /// Show live flows
    Flows(Flows),
    /// Show how the daemon is
    Status(Json),
    /// Make, list and revoke API tokens
    Token {
        #[command(subcommand)]
        command: Token,
    },
    /// List and revoke sessions of users of services
    Session {
        #[command(subcommand)]
        command: Session,
    },
    /// Turn a secret into a hash for the configuration
    Hash(Hash),
    /// Read the configuration again
    Reload(Reload),
    /// Look after the store
    Store {
        #[command(subcommand)]
        command: Store,
    },
    /// Remove every pinned program, link and map of Weir's, and nothing else
    Detach(Detach),
}

#[derive(Debug, clap::Args)]
pub(super) struct Run {
    /// How log lines on stderr look
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub(super) log_format: LogFormat,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, clap::Args)]
pub(super) struct Json {
    /// As JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct Explain {
    /// The address
    pub(super) ip: IpAddr,
    /// One service only
    #[arg(long, value_name = "NAME")]
    pub(super) service: Option<String>,
    /// The service that this URL leads to: which route, and who must sign in
    #[arg(long, conflicts_with = "service")]
    pub(super) url: Option<String>,
    /// As JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct Flows {
    /// Again every second, with rates
    #[arg(long)]
    pub(super) watch: bool,
    /// As JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum Token {
    /// Make a token; its secret is shown once
    Create {
        /// Its name
        name: String,
        /// When it ends by itself, like 90d
        #[arg(long, value_name = "DURATION", value_parser = duration)]
        expires: Option<std::time::Duration>,
        /// What it may read
        #[arg(long, value_enum, default_value_t = Scope::Read)]
        scope: Scope,
    },
    /// List tokens
    List,
    /// End a token
    Revoke {
        /// Its name
        name: String,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum Session {
    /// List sessions that are open
    List(Json),
    /// End a session, or all of them
    Revoke(Revoke),
}

#[derive(Debug, clap::Args)]
pub(super) struct Revoke {
    /// Its id, as it is listed
    #[arg(required_unless_present = "all")]
    pub(super) id: Option<String>,
    /// All sessions
    #[arg(long, conflicts_with = "id")]
    pub(super) all: bool,
    /// Those of one service only
    #[arg(long, value_name = "NAME", requires = "all", conflicts_with = "id")]
    pub(super) service: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Scope {
    Read,
    Metrics,
}

#[derive(Debug, clap::Args)]
pub(super) struct Hash {
    /// A PIN: 6 digits or more
    #[arg(long, conflicts_with = "generate")]
    pub(super) pin: bool,
    /// Make a 256-bit key, and show it with its hash
    #[arg(long)]
    pub(super) generate: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct Reload {
    /// Go back unless confirmed here within this time, like 60s
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(super) confirm: Option<std::time::Duration>,
}

#[derive(Clone, Copy, Debug, Subcommand)]
pub(super) enum Store {
    /// What the files hold
    Stats,
    /// Read every record; the daemon must not run
    Verify,
    /// Write the files anew, as small as they can be; the daemon must not run
    Compact,
}

#[derive(Debug, clap::Args)]
pub(super) struct Detach {
    /// Also while a daemon seems to run
    #[arg(long)]
    pub(super) force: bool,
}

/// The API's filters, by the same names.
#[derive(Debug, Default, clap::Args)]
pub(super) struct Events {
    /// Show records as they come, until interrupted
    #[arg(long)]
    pub(super) follow: bool,
    /// How records look
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(super) format: Format,
    /// How many, newest first
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(super) page_size: u32,
    #[command(flatten)]
    pub(super) filters: Filters,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    #[default]
    Table,
    Json,
    Csv,
}

macro_rules! filters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Filters that are passed on as they are
        #[derive(Debug, Default, clap::Args)]
        #[command(next_help_heading = "Filters (repeat one for \"any of\")")]
        pub(super) struct Filters {
            $($(#[$doc])* #[arg(long, alias = stringify!($name), value_name = "VALUE")]
            $name: Vec<String>,)*
        }

        impl Filters {
            /// Names and values, as the API takes them.
            pub(super) fn pairs(&self) -> Vec<(&'static str, &str)> {
                let mut pairs = Vec::new();
                $(pairs.extend(self.$name.iter().map(|value| (stringify!($name), value.as_str())));)*
                pairs
            }
        }
    };
}

filters! {
    /// Page, from 1
    page,
    /// Where a page before ended
    cursor,
    /// timestamp, url, duration, `status_code`, ...
    sort_by,
    /// asc or desc
    sort_order,
    /// Part of host, path, user or e-mail address, beginning of id, request id or source address
    search,
    /// An address or a prefix
    source_ip,
    /// Host, with or without port
    host,
    /// GET, TCP, UDP, TLS, ...
    method,
    /// HTTP status, 0 for none
    status_code,
    /// User id
    user_id,
    /// Service
    service_id,
    /// http, tcp, udp or tls
    protocol,
    /// Like DE
    country_code,
    /// oidc, password, pin, header or none
    auth_method,
    /// Like `ip_restricted`
    reason,
    /// allowed, denied or error
    verdict,
    /// true: what an observed rule would have denied
    observed,
    /// Part of the path
    path,
    /// Part of the e-mail address
    user_email,
    /// success or failed
    status,
    /// RFC 3339, or YYYY-MM-DD
    start_date,
    /// RFC 3339, or YYYY-MM-DD for the whole day
    end_date,
    /// What was under way from then on
    active_start,
    /// What was under way until then
    active_end,
}

fn duration(text: &str) -> Result<std::time::Duration, String> {
    crate::config::duration(text).ok_or_else(|| "a duration like 60s, 12h or 90d".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn all_sessions_end_only_where_that_is_said() {
        let parse = |line: &str| Args::try_parse_from(line.split(' ')).is_ok();
        assert!(parse("weir session revoke 00112233"));
        assert!(parse("weir session revoke --all"));
        assert!(parse("weir session revoke --all --service wiki"));
        assert!(!parse("weir session revoke"));
        assert!(!parse("weir session revoke --service wiki"));
        assert!(!parse("weir session revoke 00112233 --all"));
        assert!(!parse("weir session revoke 00112233 --service wiki"));
    }

    #[test]
    fn filters_are_named_as_the_apis() {
        let line = [
            "weir",
            "events",
            "--source_ip",
            "10.0.0.0/8",
            "--source-ip",
            "::1",
            "--verdict=denied",
        ];
        let Command::Events(events) = Args::parse_from(line).command else { panic!("events") };
        let pairs = [("source_ip", "10.0.0.0/8"), ("source_ip", "::1"), ("verdict", "denied")];
        assert_eq!(events.filters.pairs(), pairs);
    }
}
