//! Turns: a burst of bytes from the client, then a burst from the server, whatever the protocol.

use crate::event::RetransmitCause;
use crate::key::{Direction, Role};
use crate::time::MonoNs;

/// A turn as the machine knows it; the connection adds who and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TurnSpan {
    /// From 0; a turn that gets no answer has the number of the next one.
    pub index: u32,
    /// First byte of the request.
    pub start: MonoNs,
    /// Last byte of the request.
    pub request_end: MonoNs,
    /// First byte of the response; `None` while there is no answer.
    pub response_start: Option<MonoNs>,
    /// Last byte of either.
    pub end: MonoNs,
    /// Bytes of the request.
    pub request_bytes: u64,
    /// Bytes of the response.
    pub response_bytes: u64,
    pub(crate) retransmits: u32,
    pub(crate) drops: u32,
    /// State of the loss counter when it began.
    pub(crate) loss_epoch: u64,
    /// Bytes passed that no event told of.
    pub(crate) gap: bool,
}

impl TurnSpan {
    /// Of a connection on which nothing was ever asked.
    pub(crate) fn empty(t: MonoNs, loss_epoch: u64) -> Self {
        Self {
            index: 0,
            start: t,
            request_end: t,
            response_start: None,
            end: t,
            request_bytes: 0,
            response_bytes: 0,
            retransmits: 0,
            drops: 0,
            loss_epoch,
            gap: false,
        }
    }
}

/// Follows one socket's reads and writes, or the bytes of a stream in a file. The kernel probe counts by the same rule.
#[derive(Debug, Clone, Copy, Default)]
pub struct TurnMachine {
    open: Option<TurnSpan>,
    completed: u32,
}

impl TurnMachine {
    /// Bytes passed. Returns the turn before, where these begin the next one. Bytes of a server that nobody asked for
    /// (a greeting) belong to no turn. `loss_epoch` is any number that grows with each loss of events: 0 where none can be.
    pub fn io(
        &mut self,
        t: MonoNs,
        role: Role,
        direction: Direction,
        bytes: u32,
        loss_epoch: u64,
    ) -> Option<TurnSpan> {
        if bytes == 0 {
            return None;
        }
        let request = match role {
            Role::Client => direction == Direction::Out,
            Role::Server => direction == Direction::In,
        };
        let bytes = u64::from(bytes);
        match &mut self.open {
            Some(turn) if request && turn.response_start.is_none() => {
                turn.request_end = turn.request_end.max(t);
                turn.end = turn.end.max(t);
                turn.request_bytes += bytes;
                None
            }
            open if request => {
                let index = self.completed;
                open.replace(TurnSpan { index, request_bytes: bytes, ..TurnSpan::empty(t, loss_epoch) })
            }
            Some(turn) => {
                if turn.response_start.is_none() {
                    turn.response_start = Some(t.max(turn.request_end));
                    self.completed = self.completed.saturating_add(1);
                }
                turn.end = turn.end.max(t);
                turn.response_bytes += bytes;
                None
            }
            None => None,
        }
    }

    /// Nothing was heard until `resumed`: the turn before, as far as it is known. One that had no answer yet is
    /// forgotten.
    pub(crate) fn cut_off(&mut self, resumed: MonoNs) -> Option<TurnSpan> {
        let mut turn = self.open.take_if(|turn| turn.end < resumed)?;
        turn.gap = true;
        turn.response_start.map(|_| turn)
    }

    /// The connection is over: the last turn, answered or not.
    pub fn end(&mut self) -> Option<TurnSpan> {
        self.open.take()
    }

    /// A request has begun, and no other after it.
    pub(crate) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Turns that got an answer.
    pub(crate) fn completed(&self) -> u32 {
        self.completed
    }

    /// A retransmission while the turn lasts. What happens after its last byte was written belongs to it still,
    /// until the next turn begins: a server's writes are long done when its segments are sent again.
    pub(crate) fn retransmit(&mut self, cause: RetransmitCause, segments: u32) {
        // A handshake segment carries nothing of a turn.
        if matches!(cause, RetransmitCause::Syn | RetransmitCause::SynAck) {
            return;
        }
        if let Some(turn) = &mut self.open {
            turn.retransmits = turn.retransmits.saturating_add(segments);
        }
    }

    /// A drop while the turn lasts.
    pub(crate) fn dropped(&mut self) {
        if let Some(turn) = &mut self.open {
            turn.drops = turn.drops.saturating_add(1);
        }
    }

    /// An event was missed.
    pub(crate) fn gap(&mut self) {
        if let Some(turn) = &mut self.open {
            turn.gap = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Direction::{In, Out};

    fn run(role: Role, script: &[(u64, Direction, u32)]) -> (Vec<TurnSpan>, u32) {
        let mut m = TurnMachine::default();
        let mut turns: Vec<TurnSpan> =
            script.iter().filter_map(|&(t, d, n)| m.io(MonoNs(t), role, d, n, 0)).collect();
        turns.extend(m.end());
        (turns, m.completed())
    }

    #[test]
    fn bursts_join_and_the_next_request_ends_the_turn() {
        let (turns, completed) = run(
            Role::Client,
            &[(1, Out, 10), (2, Out, 5), (7, In, 100), (9, In, 50), (20, Out, 1), (21, In, 1)],
        );
        assert_eq!(completed, 2);
        let t = turns[0];
        assert_eq!((t.index, t.start, t.request_end), (0, MonoNs(1), MonoNs(2)));
        assert_eq!((t.response_start, t.end), (Some(MonoNs(7)), MonoNs(9)));
        assert_eq!((t.request_bytes, t.response_bytes), (15, 150));
        assert_eq!((turns[1].index, turns.len()), (1, 2));
    }

    #[test]
    fn a_greeting_is_no_turn_and_a_server_sees_turns_the_other_way_round() {
        let (turns, completed) = run(Role::Client, &[(1, In, 80), (2, Out, 6), (3, In, 9)]);
        assert_eq!((turns.len(), completed, turns[0].start), (1, 1, MonoNs(2)));
        let (turns, completed) = run(Role::Server, &[(1, Out, 80), (2, In, 6), (3, Out, 9)]);
        assert_eq!((turns.len(), completed, turns[0].response_bytes), (1, 1, 9));
    }

    #[test]
    fn a_request_without_an_answer_is_told_but_not_counted() {
        let (turns, completed) = run(Role::Client, &[(1, Out, 6), (2, Out, 6), (3, In, 0)]);
        assert_eq!(completed, 0);
        assert_eq!((turns[0].request_bytes, turns[0].response_start, turns[0].end), (12, None, MonoNs(2)));
    }

    #[test]
    fn trouble_belongs_to_the_turn_until_the_next_begins() {
        let mut m = TurnMachine::default();
        m.retransmit(RetransmitCause::Timeout, 9);
        m.io(MonoNs(1), Role::Server, In, 1, 0);
        m.io(MonoNs(2), Role::Server, Out, 1, 0);
        m.retransmit(RetransmitCause::Timeout, 3);
        m.retransmit(RetransmitCause::SynAck, 1);
        m.dropped();
        let t = m.io(MonoNs(3), Role::Server, In, 1, 0).expect("the first turn");
        assert_eq!((t.retransmits, t.drops), (3, 1));
        assert_eq!(m.end().map(|t| t.retransmits), Some(0));
    }
}
