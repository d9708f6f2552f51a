//! Connects to one of a service's targets.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use tokio::{
    net::TcpStream,
    time::{Duration, Instant},
};

use super::{
    connect::{Failed, share},
    first_words::FirstWords,
    targets::{Pool, Seat},
};

/// A connection to a target.
pub(super) struct Dialled {
    pub(super) stream: TcpStream,
    pub(super) address: SocketAddr,
    pub(super) seat: Seat,
}

/// Dials the targets in the order of the pool until one answers. `limit` bounds all of
/// it; a target that stays silent leaves its share of the rest to each target after it.
/// `tried` tells the last address that was dialled, also to a caller that does not wait
/// for the end.
pub(super) async fn dial(
    pool: &Pool,
    client: IpAddr,
    limit: Duration,
    words: FirstWords,
    tried: &mut Option<SocketAddr>,
) -> Result<Dialled, Failed> {
    let deadline = Instant::now() + limit;
    let members = pool.order(client);
    let mut failed = Failed::nowhere();
    for (index, member) in members.iter().enumerate() {
        let seat = Seat::new(Arc::clone(member));
        *tried = None;
        match member.connect(words, share(deadline, members.len() - index), tried).await {
            Ok((stream, address)) => {
                seat.worked();
                return Ok(Dialled { stream, address, seat });
            }
            Err(error) => {
                if !error.is_ours() {
                    seat.failed(&error);
                }
                let target = tried.map_or_else(|| seat.target().to_string(), |a| a.to_string());
                failed = Failed { target, error };
            }
        }
    }
    Err(failed)
}
