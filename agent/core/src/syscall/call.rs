//! A call that is being printed, and how its plainer arguments are.

use std::cell::Cell;
use std::fmt::Write;

use super::fd;
use super::render::{FdPaths, RenderOptions};
use super::shape::{Arg, Print, Shape};
use super::text;
use super::{CaptureKind, sockaddr};
use crate::event::{Capture, SyscallEvent};

const AT_FDCWD: i32 = -100;
/// A line that is longer says no more of descriptors: one may stand in it hundreds of times.
const DESCRIBED_MAX: usize = 32_768;
/// Set in [`Capture::kind`] where it was read at the entry.
pub(super) const AT_ENTRY: u8 = 0x80;

/// A call that is being printed.
pub(super) struct Call<'a> {
    pub(super) ev: &'a SyscallEvent,
    pub(super) opts: &'a RenderOptions,
    pub(super) out: &'a mut String,
    shape: &'static Shape,
    /// The result was asked for: what is printed now depends on it.
    asked: Cell<bool>,
}

impl<'a> Call<'a> {
    pub(super) fn new(
        ev: &'a SyscallEvent,
        shape: &'static Shape,
        opts: &'a RenderOptions,
        out: &'a mut String,
    ) -> Self {
        Self { ev, opts, out, shape, asked: Cell::new(false) }
    }

    pub(super) fn name(&self) -> &'static str {
        self.shape.name
    }

    /// Argument `i` as a register holds it.
    pub(super) fn value(&self, i: usize) -> u64 {
        self.ev.args.get(i).copied().unwrap_or(0)
    }

    pub(super) fn int(&self, i: usize) -> i32 {
        self.value(i) as i32
    }

    /// The lower 32 bits.
    pub(super) fn low(&self, i: usize) -> u64 {
        self.value(i) & 0xffff_ffff
    }

    pub(super) fn failed(&self) -> bool {
        self.ret().is_none_or(|r| (-4095..0).contains(&r))
    }

    /// Bytes moved, or whatever else the call counted.
    pub(super) fn returned(&self) -> u64 {
        self.ret().and_then(|r| u64::try_from(r).ok()).unwrap_or(0)
    }

    /// The result; `None` where there is none yet, or never will be.
    pub(super) fn ret(&self) -> Option<i64> {
        self.asked.set(true);
        self.ev.ret
    }

    pub(super) fn push(&mut self, text: &str) {
        self.out.push_str(text);
    }

    /// How many elements of an array are printed.
    pub(super) fn array_limit(&self) -> usize {
        if self.opts.verbose { usize::MAX } else { self.opts.string_limit as usize }
    }

    fn find(&self, i: usize, kind: u8) -> Option<&'a Capture> {
        let found = self.ev.captures.iter().find(|c| usize::from(c.arg) == i && c.kind == kind)?;
        // With `-s 0` nothing is read of what could be.
        let cut = [CaptureKind::BufferByArg, CaptureKind::BufferByRet].iter().any(|k| *k as u8 == kind)
            && self.opts.string_limit == 0;
        (found.full_len == 0 || !found.data.is_empty() || cut).then_some(found)
    }

    /// What was read at argument `i` when the call returned; `None` where it couldn't be.
    pub(super) fn capture(&self, i: usize, kind: CaptureKind) -> Option<&'a Capture> {
        self.find(i, kind as u8)
    }

    /// What was read at argument `i` when the call was entered.
    pub(super) fn before(&self, i: usize, kind: CaptureKind) -> Option<&'a Capture> {
        self.find(i, kind as u8 | AT_ENTRY)
    }

    pub(super) fn fixed(&self, i: usize) -> Option<&'a [u8]> {
        self.capture(i, CaptureKind::Fixed).map(|c| c.data.as_slice())
    }

    pub(super) fn fixed_before(&self, i: usize) -> Option<&'a [u8]> {
        self.before(i, CaptureKind::Fixed).map(|c| c.data.as_slice())
    }

    /// All arguments, with commas between them. Returns where those begin that are known at the exit only.
    pub(super) fn args(&mut self) -> usize {
        let shape = self.shape;
        let mut at_exit = None;
        let count = shape.count.map_or(shape.args.len(), |count| count(self));
        let mut first = true;
        for (i, arg) in shape.args.iter().enumerate().take(count) {
            if matches!(arg, Arg::Hidden) {
                continue;
            }
            if !first {
                self.out.push_str(", ");
            }
            first = false;
            let start = self.out.len();
            self.asked.set(matches!(arg, Arg::Late(_) | Arg::Out(..) | Arg::BufOut));
            self.arg(i, *arg);
            if at_exit.is_none() && self.asked.get() {
                at_exit = Some(start);
                if self.ev.ret.is_none() {
                    // It never came so far.
                    self.out.truncate(start);
                    self.out.push_str(" <unfinished ...>");
                    break;
                }
            }
        }
        at_exit.unwrap_or(self.out.len())
    }

    /// One argument.
    pub(super) fn arg(&mut self, i: usize, arg: Arg) {
        let v = self.value(i);
        let low = v & 0xffff_ffff;
        match arg {
            Arg::Fd => self.fd(v as i32),
            Arg::Dirfd => self.dirfd(v as i32),
            Arg::Int => _ = write!(self.out, "{}", v as i32),
            Arg::Uint => _ = write!(self.out, "{low}"),
            Arg::Long => _ = write!(self.out, "{}", v as i64),
            Arg::Size => _ = write!(self.out, "{v}"),
            Arg::Hex => text::hex(self.out, v),
            Arg::Hex32 => text::hex(self.out, low),
            Arg::Ptr => text::address(self.out, v),
            Arg::Id => self.id(low as u32),
            Arg::Mode => text::mode(self.out, v & 0xffff),
            Arg::Path => self.path(i),
            Arg::Str => self.string(i),
            Arg::Flags(names, unknown) => text::flags(self.out, low, names, unknown),
            Arg::OneOf(names, unknown) => text::one_of(self.out, low, names, unknown),
            Arg::BufIn(len) => self.buffer(i, CaptureKind::BufferByArg, self.value(len.into())),
            Arg::BufOut if self.failed() => text::address(self.out, v),
            Arg::BufOut => self.buffer(i, CaptureKind::BufferByRet, self.returned()),
            Arg::Addr(_) => self.sockaddr(i, CaptureKind::Sockaddr),
            Arg::In(_, print) => self.structure(i, self.fixed(i), print),
            Arg::Out(_, _) if self.failed() => text::address(self.out, v),
            Arg::Out(_, print) => self.structure(i, self.fixed(i), print),
            Arg::Hidden => {}
            Arg::With(print) | Arg::Late(print) => print(self, i),
        }
    }

    /// A user or group.
    pub(super) fn id(&mut self, v: u32) {
        let _ = if v == u32::MAX { write!(self.out, "-1") } else { write!(self.out, "{v}") };
    }

    /// The structure that was read at argument `i`, or its address.
    pub(super) fn structure(&mut self, i: usize, data: Option<&[u8]>, print: Print) {
        let at = self.out.len();
        if self.value(i) == 0 || data.and_then(|data| print(self, data)).is_none() {
            self.out.truncate(at);
            text::address(self.out, self.value(i));
        }
    }

    /// A descriptor, with what it is where that was asked for.
    pub(super) fn fd(&mut self, n: i32) {
        let _ = write!(self.out, "{n}");
        self.described(n);
    }

    fn dirfd(&mut self, n: i32) {
        if n == AT_FDCWD {
            self.out.push_str("AT_FDCWD");
            self.described(n);
        } else {
            self.fd(n);
        }
    }

    fn described(&mut self, n: i32) {
        if self.opts.fd_paths == FdPaths::None || self.out.len() > DESCRIBED_MAX {
            return;
        }
        let kinds = [CaptureKind::Fd, CaptureKind::FdPair, CaptureKind::FdPoll, CaptureKind::FdSet];
        let found = self.ev.captures.iter().find(|c| {
            kinds.iter().any(|k| *k as u8 == c.kind & !AT_ENTRY) && text::i32_at(&c.data, 0) == Some(n)
        });
        if let Some(c) = found {
            fd::describe(self, &c.data);
        }
    }

    /// The descriptor that the call returned: what it was before, if the call was given it too, counts no more.
    pub(super) fn fd_result(&mut self, n: i32) {
        let _ = write!(self.out, "{n}");
        if self.opts.fd_paths == FdPaths::None {
            return;
        }
        let result = CaptureKind::FdRet as u8;
        if let Some(c) = self.ev.captures.iter().find(|c| c.kind == result) {
            fd::describe(self, &c.data);
        }
    }

    /// The netlink protocol of the socket that the call is on; `Some(None)` where the socket has no address yet, which
    /// leaves strace in the dark too.
    pub(super) fn netlink(&self) -> Option<Option<u16>> {
        let c = self.ev.captures.iter().find(|c| c.kind & !AT_ENTRY == CaptureKind::Fd as u8)?;
        fd::netlink(&c.data)
    }

    /// Bytes in quotes, of which `full` were there.
    pub(super) fn quoted(&mut self, data: &[u8], full: u64) {
        text::quoted(self.out, data, full, self.opts.string_limit, self.opts.hex_strings);
    }

    /// A path: strace doesn't cut those.
    pub(super) fn path(&mut self, i: usize) {
        let found = self.before(i, CaptureKind::CString).or_else(|| self.capture(i, CaptureKind::CString));
        let Some(c) = found.filter(|_| self.value(i) != 0) else {
            return text::address(self.out, self.value(i));
        };
        let path = c.data.split(|b| *b == 0).next().unwrap_or_default();
        let cut = path.len() == c.data.len() && c.full_len as usize > path.len();
        text::quoted(self.out, path, path.len() as u64 + u64::from(cut), u32::MAX, self.opts.hex_strings);
    }

    /// A string that is cut at the limit.
    pub(super) fn string(&mut self, i: usize) {
        match self.capture(i, CaptureKind::CString).filter(|_| self.value(i) != 0) {
            Some(c) => self.quoted(&c.data, c.full_len.into()),
            None => text::address(self.out, self.value(i)),
        }
    }

    /// A buffer of which `full` bytes are there.
    pub(super) fn buffer(&mut self, i: usize, kind: CaptureKind, full: u64) {
        match self.capture(i, kind) {
            Some(c) if self.value(i) != 0 => self.quoted(&c.data, full.max(c.full_len.into())),
            // A buffer without bytes needs no capture.
            None if full == 0 && self.value(i) != 0 => self.out.push_str("\"\""),
            _ => text::address(self.out, self.value(i)),
        }
    }

    /// A socket address, or its address.
    pub(super) fn sockaddr(&mut self, i: usize, kind: CaptureKind) {
        let c = self.capture(i, kind).filter(|c| c.full_len >= 2 && self.value(i) != 0);
        if !c.is_some_and(|c| sockaddr::sockaddr(self.out, &c.data, self.opts)) {
            text::address(self.out, self.value(i));
        }
    }

    /// An array of which `count` elements of `size` bytes are there and `data` was read: `[a, b, ...]`.
    pub(super) fn array(&mut self, data: &[u8], size: usize, count: u64, print: Print) {
        let limit = self.array_limit();
        self.out.push('[');
        let mut shown = 0u64;
        for element in data.chunks_exact(size.max(1)).take(usize::try_from(count).unwrap_or(usize::MAX)) {
            if shown as usize >= limit {
                break;
            }
            if shown > 0 {
                self.out.push_str(", ");
            }
            if print(self, element).is_none() {
                break;
            }
            shown += 1;
        }
        self.out.push_str(match (count > shown, shown) {
            (true, 0) => "...]",
            (true, _) => ", ...]",
            (false, _) => "]",
        });
    }

    /// Flags of a field.
    pub(super) fn flags(&mut self, v: u64, names: text::Names, unknown: &str) {
        text::flags(self.out, v, names, unknown);
    }

    /// One of several values of a field.
    pub(super) fn one_of(&mut self, v: u64, names: text::Names, unknown: &str) {
        text::one_of(self.out, v, names, unknown);
    }

    /// `%#x`.
    pub(super) fn hex(&mut self, v: u64) {
        text::hex(self.out, v);
    }

    /// A pointer that isn't followed.
    pub(super) fn address(&mut self, v: u64) {
        text::address(self.out, v);
    }
}

impl Write for Call<'_> {
    fn write_str(&mut self, s: &str) -> std::fmt::Result {
        self.out.push_str(s);
        Ok(())
    }
}
