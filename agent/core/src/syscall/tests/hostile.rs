//! Nothing that a process can put into its memory may harm the printer or the terminal.

use super::*;

/// A generator of the xorshift family: good enough to be unkind, and the same on every run.
struct Unkind(u64);

impl Unkind {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, n: u64) -> u64 {
        (self.next() >> 11) % n
    }

    fn number(&mut self) -> u64 {
        match self.below(8) {
            0 => 0,
            1 => u64::MAX,
            2 => i64::MIN as u64,
            3 => self.below(4096).wrapping_neg(),
            4 => 1 << self.below(64),
            5 => self.next(),
            _ => self.below(100),
        }
    }
}

#[test]
fn no_event_panics_or_writes_control_characters() {
    let mut r = Unkind(0x9e37_79b9_7f4a_7c15);
    let mut out = String::new();
    for round in 0..40_000u64 {
        let nr = match round % 3 {
            0 => r.below(u64::from(MAX_NR) + 8) as u32,
            1 => number(
                ["recvmsg", "sendmsg", "execve", "getsockopt", "setsockopt", "clone3"][r.below(6) as usize],
            )
            .unwrap(),
            _ => {
                number(["ppoll", "pselect6", "epoll_pwait", "fcntl", "readv", "accept"][r.below(6) as usize])
                    .unwrap()
            }
        };
        let planned = plan(nr, PlanOptions { verbose: true, fd_paths: true }).captures;
        let captures = (0..r.below(5))
            .map(|i| {
                let spec = planned[(i % 12) as usize];
                let (arg, kind) = match r.below(4) {
                    0 => (r.below(256) as u8, r.below(256) as u8),
                    1 => (spec.arg, 6 + r.below(25) as u8),
                    _ => (spec.arg, spec.kind as u8 | if spec.at_entry { 0x80 } else { 0 }),
                };
                let longest = [4, 20, 64, 130, 700][r.below(5) as usize];
                let len = r.below(longest);
                let family = r.below(45) as u8;
                let mut data: Vec<u8> = (0..len).map(|_| r.number() as u8).collect();
                if let [first, second, ..] = data.as_mut_slice() {
                    (*first, *second) = (family, 0);
                }
                let full_len = if r.below(2) == 0 { data.len() as u32 } else { r.number() as u32 };
                Capture { arg, kind, full_len, data }
            })
            .collect();
        let args = std::array::from_fn(|_| r.number());
        let ret = if r.below(9) == 0 { None } else { Some(r.number() as i64) };
        let ev = SyscallEvent { nr, args, ret, captures, ..event("read", &[], None, vec![]) };
        let opts = RenderOptions {
            string_limit: r.number() as u32,
            durations: r.below(2) == 0,
            hex_strings: if r.below(2) == 0 { HexStrings::Never } else { HexStrings::NonAscii },
            verbose: r.below(2) == 0,
            fd_paths: if r.below(2) == 0 { FdPaths::None } else { FdPaths::Details },
            interfaces: &[],
        };
        out.clear();
        render_timed(&ev, MonoNs(r.number()), &opts, &mut out);
        assert!(out.bytes().all(|b| matches!(b, b' '..=b'~')), "{ev:?}: {out:?}");
        assert!(out.len() < 1 << 16, "{ev:?}: {} bytes", out.len());
    }
}
