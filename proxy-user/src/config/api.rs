//! `[api]`

use std::net::{Ipv4Addr, SocketAddr};

use super::{Api, fault::At, fields::Fields, listen::is_host_name, prefix::prefix};

const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8790);

/// `[api]` and where its `listen` stands.
pub(super) fn api(fields: &mut Fields<'_, '_>) -> (Api, At) {
    let api = Api {
        listen: listen(fields).unwrap_or(LISTEN),
        domain: domain(fields),
        allow: fields.list("allow", prefix),
        control_group: fields
            .string("control_group")
            .map_or_else(|| "weir".to_owned(), |(group, _)| group.to_owned()),
    };
    if fields.boolean("tls") == Some(true) {
        fields.fault("tls", "\"tls\" in [api] is not supported yet");
    }
    (api, fields.place("listen"))
}

fn listen(fields: &mut Fields<'_, '_>) -> Option<SocketAddr> {
    let (text, at) = fields.string("listen")?;
    let Some(address) = text.parse::<SocketAddr>().ok().filter(|address| address.port() != 0)
    else {
        fields.report.fault(at, format!("listen takes \"ADDRESS:PORT\", not {text:?}"));
        return None;
    };
    if !address.ip().to_canonical().is_loopback() {
        let message = "the API beyond loopback needs tls, which is not supported yet";
        fields.report.fault(at, message);
    }
    Some(address)
}

fn domain(fields: &mut Fields<'_, '_>) -> Option<String> {
    let (domain, at) = fields.string("domain")?;
    if !is_host_name(domain) {
        fields.report.fault(at, format!("domain {domain:?} is no host name"));
    }
    Some(domain.to_ascii_lowercase())
}
