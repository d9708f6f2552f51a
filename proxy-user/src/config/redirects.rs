//! Redirects from plain HTTP that cannot be, since something else of ours listens there.

use super::{
    Api, Listen, Mode, Service,
    fault::{At, Report},
    ports::{By, of_api, overlap, told_apart},
    published::HTTP,
    service::Placed,
};

/// Warns of each service whose redirect has no place.
pub(super) fn warn_of_missing(services: &[Placed], (api, api_at): (&Api, At), report: &mut Report) {
    for placed in services {
        let (redirects, host) = (placed.service.redirect_listen(), placed.service.host());
        let missing = redirects.filter_map(|redirect| {
            in_the_way_of_service(redirect, services)
                .or_else(|| overlap(redirect, of_api(api)).then(|| ("the API".to_owned(), api_at)))
        });
        for (owner, at) in missing {
            let place = report.place(at);
            let message = format!(
                "port {HTTP} is {owner}'s ({place}), so that http://{host} is not redirected"
            );
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

/// Datagrams have ports of their own; and requests are told apart by their Host.
fn shares(service: &Service, listen: Listen, redirect: Listen) -> bool {
    let plain = told_apart(service) == By::Host;
    service.mode == Mode::Udp || plain && listen == redirect
}
