//! Users on their way from the common callback host to a service's own host.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use sha2::{Digest, Sha256};

use super::{
    random::{NoRandomness, decode, encode, random},
    return_to::ReturnTo,
};
use crate::{http::sso::User, record::KeyedMap};

/// How long the way may take.
pub(super) const LIFETIME: Duration = Duration::from_mins(1);
/// On their way at a time; beyond, who has been longest has to sign on again.
const MOST: usize = 4096;

/// Who is on the way, and where to.
pub(super) struct Ticket {
    pub(super) service: String,
    pub(super) origin: String,
    /// Hash of what the browser that set out keeps.
    pub(super) bound: [u8; 32],
    pub(super) return_to: ReturnTo,
    pub(super) user: User,
    pub(super) refresh: Option<String>,
}

struct Waiting {
    ticket: Ticket,
    since: Instant,
}

/// Tickets that are good once. They are in memory alone: a restart in these seconds has
/// the user sign on again.
#[derive(Default)]
pub(super) struct Tickets(Mutex<KeyedMap<[u8; 32], Waiting>>);

impl Tickets {
    pub(super) fn issue(&self, ticket: Ticket, now: Instant) -> Result<String, NoRandomness> {
        let secret: [u8; 32] = random()?;
        let mut waiting = self.0.lock();
        waiting.retain(|_, waiting| is_good(waiting, now));
        if waiting.len() >= MOST {
            let oldest = waiting.iter().min_by_key(|(_, waiting)| waiting.since);
            let oldest = oldest.map(|(key, _)| *key);
            oldest.and_then(|oldest| waiting.remove(&oldest));
        }
        waiting.insert(Sha256::digest(secret).into(), Waiting { ticket, since: now });
        Ok(encode(&secret))
    }

    /// The ticket, which is used up by that.
    pub(super) fn redeem(&self, text: &str, now: Instant) -> Option<Ticket> {
        let secret: [u8; 32] = decode(text)?;
        let key: [u8; 32] = Sha256::digest(secret).into();
        let waiting = self.0.lock().remove(&key)?;
        is_good(&waiting, now).then_some(waiting.ticket)
    }
}

fn is_good(waiting: &Waiting, now: Instant) -> bool {
    now.saturating_duration_since(waiting.since) < LIFETIME
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn ticket() -> Ticket {
        Ticket {
            service: "wiki".into(),
            origin: "https://wiki.example.com".into(),
            bound: [7; 32],
            return_to: ReturnTo::parse("/a"),
            user: User { id: "7".into(), email: None, groups: Vec::new() },
            refresh: None,
        }
    }

    #[test]
    fn a_ticket_is_good_once_and_for_a_minute() {
        let (tickets, now) = (Tickets::default(), Instant::now());
        let text = tickets.issue(ticket(), now).unwrap();
        assert_eq!(tickets.redeem(&text, now).unwrap().service, "wiki");
        assert!(tickets.redeem(&text, now).is_none());
        let late = tickets.issue(ticket(), now).unwrap();
        assert!(tickets.redeem(&late, now + LIFETIME).is_none());
        assert!(tickets.redeem("", now).is_none());
    }

    #[test]
    fn a_flood_fills_no_memory_and_takes_the_oldest() {
        let (tickets, now) = (Tickets::default(), Instant::now());
        let first = tickets.issue(ticket(), now).unwrap();
        let later = now + Duration::from_secs(1);
        let last = (0..MOST).map(|_| tickets.issue(ticket(), later).unwrap()).last().unwrap();
        assert_eq!(tickets.0.lock().len(), MOST);
        assert!(tickets.redeem(&first, later).is_none());
        assert!(tickets.redeem(&last, later).is_some());
    }
}
