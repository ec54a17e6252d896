//! Trace ids that both ends of a TCP connection make on their own.
//!
//! Both kernels know both initial sequence numbers (ISN) for the whole life of a connection, so a keyed hash of
//! the pair is the same at both ends without a word between the agents, through NAT and layer-4 load balancers.
//! Only the pair goes in: the agents' clocks and their moments of first sight differ, and anything made of time
//! would split the two ends at some edge. The pair is hashed in numeric order, so that the ends needn't agree on who
//! the client is either (they may not, for a connection older than both agents).
//!
//! Limits. The pair has 64 bits: among a million connections under one salt a collision has a chance of about
//! 3 in 10^8. The two ends differ where something between them ends the connection or rewrites
//! sequence numbers: full proxies, SYN proxies with SYN cookies, some firewalls. [`TraceIdSource`] says how an id
//! was made.

use std::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher24};

use crate::fact::TraceIdSource;
use crate::key::SocketCookie;
use crate::time::MonoNs;

/// Id of a connection whose initial sequence numbers are known. The order of the two doesn't matter.
pub fn from_isns(salt: &[u8; 16], a: u32, b: u32) -> ([u8; 16], TraceIdSource) {
    let mut h = SipHasher24::new_with_key(salt);
    h.write(b"isn");
    h.write(&a.min(b).to_be_bytes());
    h.write(&a.max(b).to_be_bytes());
    (finish(&h), TraceIdSource::IsnPair)
}

/// Id that only this host knows: of a UDP flow, or of a connection whose beginning was not seen.
pub fn local(salt: &[u8; 16], cookie: Option<SocketCookie>, start: MonoNs) -> ([u8; 16], TraceIdSource) {
    let mut h = SipHasher24::new_with_key(salt);
    h.write(b"local");
    h.write(&cookie.map_or(0, |c| c.0).to_be_bytes());
    h.write(&start.0.to_be_bytes());
    (finish(&h), TraceIdSource::Local)
}

/// Turns of a connection that are one trace: it may live for ever, and a trace can't. What follows is told in further ones, its
/// chapters. With some 500 bytes a span, both halves of a trace stay below 5 MB, the largest that Tempo takes by default.
pub const TURNS_OF_CHAPTER: u32 = 4096;

/// The chapter of a turn, by its number on the connection. Where both ends saw the beginning they count alike.
pub fn chapter(index: u32) -> u32 {
    index / TURNS_OF_CHAPTER
}

/// Trace id of a chapter; the first one's is the connection's.
pub fn of_chapter(connection: [u8; 16], chapter: u32) -> [u8; 16] {
    if chapter == 0 {
        return connection;
    }
    let mut h = SipHasher24::new_with_key(&connection);
    h.write(b"chapter");
    h.write(&chapter.to_be_bytes());
    finish(&h)
}

fn finish(h: &SipHasher24) -> [u8; 16] {
    let mut id = h.finish128().as_bytes();
    // All zeroes is not a trace id (W3C Trace Context, section 3.2.2.3).
    if id == [0; 16] {
        id[15] = 1;
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    const SALT: [u8; 16] = *b"a salt of a site";

    #[test]
    fn both_ends_agree_and_other_connections_differ() {
        let client = from_isns(&SALT, 7, 4_000_000_000);
        assert_eq!(client, from_isns(&SALT, 4_000_000_000, 7));
        assert_eq!(client.1, TraceIdSource::IsnPair);
        assert_ne!(client.0, from_isns(&SALT, 8, 4_000_000_000).0);
        assert_ne!(client.0, from_isns(&[0; 16], 7, 4_000_000_000).0);
        assert_ne!(client.0, [0; 16]);
    }

    #[test]
    fn chapters_follow_from_the_connection_and_the_turn() {
        let (id, _) = from_isns(&SALT, 7, 8);
        assert_eq!([0, 4095, 4096, 8191, 8192].map(chapter), [0, 0, 1, 1, 2]);
        assert_eq!(of_chapter(id, 0), id);
        assert_eq!(of_chapter(id, 1), of_chapter(from_isns(&SALT, 8, 7).0, 1));
        assert!(of_chapter(id, 1) != id && of_chapter(id, 1) != of_chapter(id, 2));
    }

    #[test]
    fn local_ids_differ_by_socket_and_start() {
        let a = local(&SALT, Some(SocketCookie(1)), MonoNs(5));
        assert_eq!(a.1, TraceIdSource::Local);
        assert_ne!(a.0, local(&SALT, Some(SocketCookie(2)), MonoNs(5)).0);
        assert_ne!(a.0, local(&SALT, Some(SocketCookie(1)), MonoNs(6)).0);
    }
}
