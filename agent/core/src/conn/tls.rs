//! The TLS handshake that a connection begins with, told from the plain headers of its records. Its round trips are no
//! turns: what it took is a part of the first one. STARTTLS, and connections that were open before, are not followed.
//!
//! It is over with the client's Finished: the record after its ChangeCipherSpec (RFC 5246, section 7.4.9), in TLS 1.3
//! an encrypted one of known size (RFC 8446, sections 4.4.4 and 5.2). What the server sends before it has heard more than that
//! (session tickets) is no answer. A request in early data does not wait for the handshake: then there is none.

use crate::event::SocketIo;
use crate::key::{Direction, Role};
use crate::opening::{Opening, TlsRecord, TlsRecords, content};
use crate::time::MonoNs;

/// Bytes of either side that may belong to a handshake.
const MAX_OFFSET: u32 = 1 << 24;

/// What TLS 1.3 adds to a Finished message of one hash's length: record header, message header, content type, and the
/// tag of the cipher.
const AROUND_FINISHED: u32 = 5 + 4 + 1;

/// What is known of a connection's TLS.
#[derive(Debug, Default)]
pub(crate) enum Tls {
    /// No payload was seen.
    #[default]
    Unknown,
    /// It isn't spoken.
    None,
    /// It is.
    Spoken(Box<Handshake>),
}

/// A handshake. Offsets are those of a stream's bytes, from 0.
#[derive(Debug, Default)]
pub(crate) struct Handshake {
    begun: MonoNs,
    /// The last call that moved its bytes, until the first that moved others.
    last: Option<MonoNs>,
    /// Size of the record with the client's Finished in TLS 1.3, which a ServerHello tells.
    finished: Option<u32>,
    /// The client sent ChangeCipherSpec.
    changed: bool,
    /// An encrypted record of the client was seen that was none of that size: its certificate.
    certified: bool,
    /// Where the client's next record begins.
    next: u32,
    /// Where the bytes of the client's application begin.
    client: Option<u32>,
    /// Where those of the server's application begin at the earliest.
    server: u32,
    /// The client's side of it was written.
    written: bool,
    /// Turns that the kernel had counted when it was over.
    turns: u32,
    /// The client's application has been heard, and answered.
    asked: bool,
    answered: bool,
}

/// A segment with payload.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flight<'a> {
    pub(super) t: MonoNs,
    pub(super) from_client: bool,
    /// Of its first byte.
    pub(super) offset: u32,
    pub(super) len: u32,
    /// Of the first byte that it doesn't acknowledge.
    pub(super) acked: u32,
    pub(super) opening: Option<&'a Opening>,
}

impl Tls {
    /// A segment was seen. True where its first byte is a handshake's.
    pub(super) fn segment(&mut self, f: &Flight<'_>) -> bool {
        if f.len == 0 {
            return false;
        }
        let records = match f.opening {
            Some(Opening::Tls(records)) => Some(records),
            _ => None,
        };
        if let Self::Unknown = self {
            let first = records.and_then(|r| r.records.first()).map(|r| r.content);
            *self = if f.from_client && f.offset == 0 && first == Some(content::HANDSHAKE) {
                Self::Spoken(Box::new(Handshake { begun: f.t, ..Handshake::default() }))
            } else {
                Self::None
            };
        }
        match self {
            Self::Spoken(h) if !h.answered && f.offset < MAX_OFFSET => h.segment(f, records),
            _ => false,
        }
    }

    /// A call moved bytes. Returns how many of them are an application's, and when the handshake was over before, if these
    /// are the first.
    pub(super) fn io(&mut self, t: MonoNs, io: &SocketIo, role: Role) -> (u32, Option<MonoNs>) {
        match self {
            Self::Spoken(h) if !h.answered => h.io(t, io, role),
            _ => (io.bytes, None),
        }
    }

    /// From its first sign to its last.
    pub(super) fn period(&self) -> Option<(MonoNs, MonoNs)> {
        let Self::Spoken(h) = self else { return None };
        Some((h.begun, h.last.filter(|last| *last >= h.begun)?))
    }

    /// It was begun, and the connection ended before anything was asked.
    pub(super) fn is_unfinished(&self) -> bool {
        matches!(self, Self::Spoken(h) if !h.asked)
    }

    /// Turns that the kernel took it for.
    pub(super) fn turns(&self) -> u32 {
        if let Self::Spoken(h) = self { h.turns } else { 0 }
    }
}

impl Handshake {
    fn segment(&mut self, f: &Flight<'_>, records: Option<&TlsRecords>) -> bool {
        if f.from_client {
            if let Some(records) = records.filter(|_| self.client.is_none()) {
                self.follow(f.offset, &records.records);
            }
            return self.client.is_none_or(|from| f.offset < from);
        }
        if let Some(cipher) = records.and_then(|r| r.cipher) {
            self.finished = finished(cipher);
        }
        let early = self.client.is_none_or(|from| f.acked <= from);
        if early {
            self.server = self.server.max(f.offset.saturating_add(f.len));
        }
        early
    }

    /// The client's records from `offset` on.
    fn follow(&mut self, offset: u32, records: &[TlsRecord]) {
        // It was sent before, or only looks like a record.
        if offset < self.next {
            return;
        }
        // Records that began within segments went by unseen, the Finished among them if this is encrypted data.
        let unseen = offset > self.next || self.certified;
        let mut at = offset;
        for r in records {
            let end = at.saturating_add(r.size);
            match (r.content, self.finished) {
                (content::APPLICATION_DATA, Some(size)) if r.size == size && !unseen => {
                    self.client = Some(end);
                    return;
                }
                (content::APPLICATION_DATA, Some(_)) if !unseen => self.certified = true,
                (content::APPLICATION_DATA, _) => {
                    self.client = Some(at);
                    return;
                }
                (content::HANDSHAKE, None) if self.changed => {
                    self.client = Some(end);
                    return;
                }
                (content::CHANGE_CIPHER_SPEC, _) => self.changed = true,
                _ => {}
            }
            at = end;
        }
        self.next = at;
    }

    fn io(&mut self, t: MonoNs, io: &SocketIo, role: Role) -> (u32, Option<MonoNs>) {
        let from_client = (role == Role::Client) == (io.direction == Direction::Out);
        let end = match io.direction {
            Direction::Out => io.totals.sent,
            Direction::In => io.totals.received,
        };
        let from = match (from_client, role) {
            (true, _) => self.client.map_or(u64::MAX, u64::from),
            (false, _) if !self.asked => u64::MAX,
            (false, Role::Client) => u64::from(self.server),
            (false, Role::Server) => 0,
        };
        let beyond = u32::try_from(end.saturating_sub(from)).unwrap_or(u32::MAX).min(io.bytes);
        if beyond > 0 {
            let first = !std::mem::replace(&mut self.asked, true);
            self.answered = !from_client;
            return (beyond, self.last.filter(|_| first));
        }
        if !self.asked {
            self.turns = io.totals.turns;
            self.begun = self.begun.min(io.entered.unwrap_or(t));
            // In TLS 1.3 a client is through when it has written its Finished, whatever it reads then.
            if !self.written || self.finished.is_none() {
                self.last = Some(t);
            }
            self.written |= role == Role::Client && from_client && end >= from;
        }
        (0, None)
    }
}

/// Size of the record with the client's Finished under a cipher suite of TLS 1.3 (RFC 8446, appendix B.4), which
/// is negotiated in no other version.
fn finished(cipher: u16) -> Option<u32> {
    let (hash, tag) = match cipher {
        0x1302 => (48, 16),
        0x1305 => (32, 8),
        0x1301 | 0x1303 | 0x1304 => (32, 16),
        _ => return None,
    };
    Some(AROUND_FINISHED + hash + tag)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{IoTotals, Task};
    use crate::key::SocketCookie;
    use content::{APPLICATION_DATA as DATA, CHANGE_CIPHER_SPEC as CHANGE, HANDSHAKE};

    /// One end of a connection; what passes and what is counted, in ms and bytes.
    struct End {
        tls: Tls,
        role: Role,
        passed: [u32; 2],
        seen: [u32; 2],
    }

    impl End {
        fn new(role: Role) -> Self {
            Self { tls: Tls::Unknown, role, passed: [0; 2], seen: [0; 2] }
        }

        /// A segment of whole records.
        fn segment(&mut self, t: u64, from_client: bool, records: &[(u8, u32)], cipher: Option<u16>) -> bool {
            let records: Vec<_> =
                records.iter().map(|&(content, size)| TlsRecord { content, size }).collect();
            let len = records.iter().map(|r| r.size).sum();
            let opening = Opening::Tls(TlsRecords { records, cipher });
            let (mine, other) = (usize::from(!from_client), usize::from(from_client));
            let offset = self.seen[mine];
            self.seen[mine] += len;
            let acked = self.seen[other];
            let f = Flight { t: MonoNs(t), from_client, offset, len, acked, opening: Some(&opening) };
            self.tls.segment(&f)
        }

        fn call(&mut self, t: u64, direction: Direction, bytes: u32) -> u32 {
            self.passed[direction as usize] += bytes;
            let totals = IoTotals {
                sent: self.passed[Direction::Out as usize].into(),
                received: self.passed[Direction::In as usize].into(),
                turns: 0,
            };
            let (task, cookie) = (Task::default(), SocketCookie(1));
            let io = SocketIo { task, cookie, direction, bytes, entered: None, totals };
            self.tls.io(MonoNs(t), &io, self.role).0
        }
    }

    use Direction::{In, Out};

    #[test]
    fn a_client_of_tls_1_3_is_through_when_its_finished_is_written() {
        let mut c = End::new(Role::Client);
        assert!(c.segment(1, true, &[(HANDSHAKE, 517)], None));
        assert_eq!(c.call(2, Out, 517), 0);
        assert!(c.segment(40, false, &[(HANDSHAKE, 127), (CHANGE, 6), (DATA, 900)], Some(0x1302)));
        assert_eq!(c.call(41, In, 1_033), 0);
        assert!(c.segment(42, true, &[(CHANGE, 6), (DATA, 74)], None));
        assert_eq!(c.call(43, Out, 80), 0);
        // A ticket that came before anything was asked.
        assert!(c.segment(80, false, &[(DATA, 255)], None));
        assert_eq!(c.call(81, In, 255), 0);
        assert!(!c.segment(90, true, &[(DATA, 122)], None));
        assert_eq!(c.call(91, Out, 122), 122);
        assert!(!c.segment(130, false, &[(DATA, 3_000)], None));
        assert_eq!(c.call(131, In, 3_000), 3_000);
        assert_eq!(c.tls.period(), Some((MonoNs(1), MonoNs(43))));
    }

    #[test]
    fn a_ticket_that_crosses_the_request_is_no_answer() {
        let mut c = End::new(Role::Client);
        c.segment(1, true, &[(HANDSHAKE, 517)], None);
        c.call(2, Out, 517);
        c.segment(40, false, &[(HANDSHAKE, 127), (DATA, 900)], Some(0x1301));
        c.call(41, In, 1_027);
        c.segment(42, true, &[(DATA, 58)], None);
        c.call(43, Out, 58);
        let acked = c.seen[0];
        c.segment(44, true, &[(DATA, 122)], None);
        assert_eq!(c.call(45, Out, 122), 122);
        let f = Flight { t: MonoNs(80), from_client: false, offset: 1_027, len: 255, acked, opening: None };
        assert!(c.tls.segment(&f));
        c.seen[1] += 255;
        assert_eq!(c.call(81, In, 255), 0);
        assert!(!c.segment(90, false, &[(DATA, 500)], None));
        assert_eq!(c.call(91, In, 500), 500);
    }

    #[test]
    fn a_server_of_tls_1_2_is_through_when_it_has_written_its_finished() {
        let mut s = End::new(Role::Server);
        s.segment(1, true, &[(HANDSHAKE, 200)], None);
        assert_eq!(s.call(2, In, 200), 0);
        s.segment(3, false, &[(HANDSHAKE, 90), (HANDSHAKE, 800)], Some(0xc02f));
        assert_eq!(s.call(4, Out, 890), 0);
        s.segment(50, true, &[(HANDSHAKE, 75), (CHANGE, 6), (HANDSHAKE, 45)], None);
        assert_eq!(s.call(51, In, 126), 0);
        s.segment(52, false, &[(HANDSHAKE, 200), (CHANGE, 6), (HANDSHAKE, 45)], None);
        assert_eq!(s.call(53, Out, 251), 0);
        assert!(!s.segment(100, true, &[(DATA, 80)], None));
        assert_eq!(s.call(101, In, 5), 5, "the header of the first record is asked for alone");
        assert_eq!(s.call(101, In, 75), 75);
        assert_eq!(s.call(102, Out, 400), 400);
        assert_eq!(s.tls.period(), Some((MonoNs(1), MonoNs(53))));
    }

    #[test]
    fn a_certificate_of_the_client_hides_where_its_finished_is() {
        let mut c = End::new(Role::Client);
        c.segment(1, true, &[(HANDSHAKE, 517)], None);
        c.segment(40, false, &[(HANDSHAKE, 127), (DATA, 900)], Some(0x1301));
        // Certificate, CertificateVerify and Finished in one record.
        assert!(c.segment(42, true, &[(DATA, 1_300)], None));
        assert!(!c.segment(90, true, &[(DATA, 122)], None));
    }

    #[test]
    fn what_is_no_tls_is_let_through() {
        for first in [&[(DATA, 100)][..], &[]] {
            let mut c = End::new(Role::Client);
            assert!(!c.segment(1, true, first, None) || first.is_empty());
            assert_eq!(c.call(2, Out, 100), 100);
            assert_eq!(c.tls.period(), None);
        }
        // A server that speaks first (SMTP) may go on to TLS, which is not followed.
        let mut c = End::new(Role::Client);
        c.segment(1, false, &[(HANDSHAKE, 100)], None);
        c.segment(2, true, &[(HANDSHAKE, 100)], None);
        assert_eq!(c.call(3, Out, 100), 100);
    }
}
