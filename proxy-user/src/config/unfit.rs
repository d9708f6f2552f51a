//! What is said of a service that its mode cannot do.

use super::{
    Destination, Mode, ProxyProtocol, SendProxy, Service, fault::At, fields::Fields,
    schema::OF_HTTP,
};

/// Tells what the service's mode cannot do.
pub(super) fn refuse_what_no_mode_has(
    fields: &mut Fields<'_, '_>,
    service: &Service,
    targets: &[At],
) {
    if let (Mode::Tls, true, [at]) = (service.mode, service.is_guard(), targets) {
        let message = "target = \"host\" is for tcp and udp services";
        fields.report.fault(*at, message);
    }
    let relays_streams = service.mode != Mode::Udp && !service.is_guard();
    if service.proxy_protocol != ProxyProtocol::default() && !relays_streams {
        let message = "proxy_protocol is for tcp, tls and http services that Weir listens for";
        fields.fault("proxy_protocol", message);
    }
    if service.mode == Mode::Http && service.proxy_protocol.send != SendProxy::Off {
        let message = "proxy_protocol.send is for tcp and tls services: targets over HTTP get \
                       X-Forwarded-For";
        fields.fault("proxy_protocol", message);
    }
}

/// Tells keys that another mode has.
pub(super) fn refuse_keys_of_http(fields: &mut Fields<'_, '_>, mode: Mode) {
    if mode == Mode::Http {
        return;
    }
    for key in OF_HTTP {
        if fields.node(key).is_some() {
            fields.fault(key, format!("{key} is for http services"));
        }
    }
}

/// A guarded service has nothing to dial and no relay to limit.
pub(super) fn warn_of_ignored(fields: &mut Fields<'_, '_>, service: &Service) {
    if service.destination != Destination::Host {
        return;
    }
    for key in ["connect_timeout", "max_connections", "balance", "health"] {
        if fields.node(key).is_some() {
            let at = fields.place(key);
            fields.report.warn(at, format!("{key} has no effect where target = \"host\""));
        }
    }
}
