//! System calls of a connection, until it is known to which turn they belong.

use std::collections::VecDeque;

use opentelemetry::TraceId;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_semantic_conventions::attribute as semconv;
use tracenet_core::event::SyscallEvent;
use tracenet_core::key::Role;
use tracenet_core::syscall;
use tracenet_core::time::{ClockOffset, MonoNs};

use crate::ids::Part;
use crate::names::{attribute, span as names};
use crate::value::{int, string};

/// Most calls of a turn that become spans, and most that wait; the rest is counted.
pub(crate) const MOST_CALLS: usize = 128;

/// A call that has returned.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call {
    thread: u32,
    nr: u32,
    ret: Option<i64>,
    entered: MonoNs,
    left: MonoNs,
}

/// Those of a connection that wait.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    waiting: VecDeque<Call>,
    omitted: u64,
}

/// Of a turn: the calls before it, its own, and how many of these found no room.
pub(crate) struct Taken {
    pub(crate) before: Vec<Call>,
    pub(crate) within: Vec<Call>,
    pub(crate) omitted: u64,
}

impl Calls {
    /// A call has returned at `t`.
    pub(crate) fn push(&mut self, t: MonoNs, call: &SyscallEvent) {
        if self.waiting.len() >= MOST_CALLS {
            self.omitted += 1;
            return;
        }
        self.waiting.push_back(Call {
            thread: call.task.tid,
            nr: call.nr,
            ret: call.ret,
            entered: call.entered,
            left: t.max(call.entered),
        });
    }

    /// Takes the calls that a turn consists of: the one that brought the request lasted when it began, the one that took the
    /// answer when it was over.
    pub(crate) fn take(&mut self, start: MonoNs, end: MonoNs) -> Taken {
        let mut taken =
            Taken { before: Vec::new(), within: Vec::new(), omitted: std::mem::take(&mut self.omitted) };
        let mut later = VecDeque::new();
        for call in self.waiting.drain(..) {
            if call.left < start {
                taken.before.push(call);
            } else if call.entered <= end {
                taken.within.push(call);
            } else {
                later.push_back(call);
            }
        }
        self.waiting = later;
        taken
    }

    /// Takes all that wait.
    pub(crate) fn rest(&mut self) -> impl Iterator<Item = Call> {
        std::mem::take(&mut self.waiting).into_iter()
    }
}

impl Call {
    /// Its span, below `parent`. It keeps its own times: a call that waited for a request began before the request's turn.
    pub(crate) fn span(&self, trace: TraceId, role: Role, parent: Part, clock: ClockOffset) -> Span {
        let part = Part::Call { entered: self.entered.0, thread: self.thread };
        let times = (self.entered, self.left);
        let mut span = crate::spans::span(trace, role, (part, Some(parent)), "", times, clock);
        span.name = match syscall::name(self.nr) {
            Some(name) => format!("{} {name}", names::SYSCALL),
            None => format!("{} {}", names::SYSCALL, self.nr),
        };
        span.attributes.push(int(semconv::THREAD_ID, i64::from(self.thread)));
        if let Some(ret) = self.ret {
            span.attributes.push(int(attribute::SYSCALL_RESULT, ret));
            let errno = i32::try_from(-ret).ok().filter(|_| ret < 0);
            if let Some(name) = errno.and_then(syscall::errno_name) {
                span.attributes.push(string(attribute::SYSCALL_ERROR, name));
            }
        }
        span
    }
}
