//! Redirects from plain HTTP that cannot be, since something else of ours listens there,
//! or not for all.

use super::{
    Api, Listen, Mode, Service,
    fault::{At, Report},
    ports::{By, of_api, overlap, told_apart},
    published::HTTP,
    service::Placed,
};

/// Warns of each service whose redirect has no place, or one where other proxies are
/// believed than at the service's own.
pub(super) fn warn(services: &[Placed], (api, api_at): (&Api, At), report: &mut Report) {
    for placed in services {
        let host = placed.service.host();
        for redirect in placed.service.redirect_listen() {
            let missing = in_the_way_of_service(redirect, services)
                .or_else(|| overlap(redirect, of_api(api)).then(|| ("the API".to_owned(), api_at)));
            let message = if let Some((owner, at)) = missing {
                let place = report.place(at);
                format!(
                    "port {HTTP} is {owner}'s ({place}), so that http://{host} is not redirected"
                )
            } else if let Some((other, at)) = of_other_proxies(redirect, placed, services) {
                let place = report.place(at);
                format!(
                    "port {HTTP} is shared with service {other} by Host ({place}), whose \
                     proxy_protocol.accept_from is another and holds for http://{host} too"
                )
            } else {
                continue;
            };
            report.warn(placed.redirect, message);
        }
    }
}

fn in_the_way_of_service(redirect: Listen, services: &[Placed]) -> Option<(String, At)> {
    services.iter().find_map(|placed| {
        let (_, at) = placed.listen.iter().find(|(listen, _)| {
            overlap(*listen, redirect) && !shares(&placed.service, *listen, redirect)
        })?;
        Some((format!("service {}", placed.service.name), *at))
    })
}

/// The service that takes plain requests there, where it takes PROXY headers of others.
fn of_other_proxies<'a>(
    redirect: Listen,
    placed: &Placed,
    services: &'a [Placed],
) -> Option<(&'a str, At)> {
    let own = &placed.service.proxy_protocol.accept_from;
    services.iter().find_map(|other| {
        let service = &other.service;
        let (_, at) = other.listen.iter().find(|(listen, _)| {
            *listen == redirect
                && service.mode != Mode::Udp
                && service.proxy_protocol.accept_from != *own
        })?;
        Some((service.name.as_str(), *at))
    })
}

/// Datagrams have ports of their own; and requests are told apart by their Host.
fn shares(service: &Service, listen: Listen, redirect: Listen) -> bool {
    let plain = told_apart(service) == By::Host;
    service.mode == Mode::Udp || plain && listen == redirect
}
