//! Signals as strace prints them between the syscalls: `--- SIGCHLD {si_signo=SIGCHLD, ...} ---`.

use std::fmt::Write;

use super::calls::info::ticks;
use super::names::signal::SIGNAL;
use super::text;
use crate::event::SignalInfo;

// Codes of any signal (include/uapi/asm-generic/siginfo.h).
const SI_USER: i32 = 0;
const SI_KERNEL: i32 = 0x80;
const SI_QUEUE: i32 = -1;
const SI_TIMER: i32 = -2;
const SI_MESGQ: i32 = -3;
const SI_TKILL: i32 = -6;

const SIGILL: u32 = 4;
const SIGTRAP: u32 = 5;
const SIGBUS: u32 = 7;
const SIGFPE: u32 = 8;
const SIGSEGV: u32 = 11;
const SIGCHLD: u32 = 17;
const SIGIO: u32 = 29;
const SIGSYS: u32 = 31;

/// Names of codes above zero are each signal's own.
#[rustfmt::skip]
const CODES: &[(u32, &[&str])] = &[
    (SIGILL, &["ILL_ILLOPC", "ILL_ILLOPN", "ILL_ILLADR", "ILL_ILLTRP", "ILL_PRVOPC", "ILL_PRVREG", "ILL_COPROC",
               "ILL_BADSTK"]),
    (SIGFPE, &["FPE_INTDIV", "FPE_INTOVF", "FPE_FLTDIV", "FPE_FLTOVF", "FPE_FLTUND", "FPE_FLTRES", "FPE_FLTINV",
               "FPE_FLTSUB"]),
    (SIGSEGV, &["SEGV_MAPERR", "SEGV_ACCERR", "SEGV_BNDERR", "SEGV_PKUERR"]),
    (SIGBUS, &["BUS_ADRALN", "BUS_ADRERR", "BUS_OBJERR", "BUS_MCEERR_AR", "BUS_MCEERR_AO"]),
    (SIGTRAP, &["TRAP_BRKPT", "TRAP_TRACE", "TRAP_BRANCH", "TRAP_HWBKPT"]),
    (SIGCHLD, &["CLD_EXITED", "CLD_KILLED", "CLD_DUMPED", "CLD_TRAPPED", "CLD_STOPPED", "CLD_CONTINUED"]),
    (SIGIO, &["POLL_IN", "POLL_OUT", "POLL_MSG", "POLL_ERR", "POLL_PRI", "POLL_HUP"]),
    (SIGSYS, &["SYS_SECCOMP"]),
];

/// `SIGTERM`; a real-time signal by its distance from the first, as strace names it; `None` for no signal's number.
pub fn signal_name(number: u32) -> Option<&'static str> {
    SIGNAL.iter().find(|s| s.0 == u64::from(number)).map(|s| s.1)
}

/// Appends `SIGTERM {si_signo=SIGTERM, si_code=SI_USER, si_pid=17, si_uid=0}` (sigaction(2)): the fields that the
/// code says are there.
pub fn render_signal(info: &SignalInfo, out: &mut String) {
    name(info.number, out);
    out.push(' ');
    braced(info, out);
}

/// Appends what [`render_signal`] does behind the name; `{}` where nothing was told.
pub(super) fn braced(info: &SignalInfo, out: &mut String) {
    out.push('{');
    if (info.number, info.error, info.code) != (0, 0, 0) {
        out.push_str("si_signo=");
        name(info.number, out);
        if info.error != 0 {
            let _ = write!(out, ", si_errno={}", info.error);
        }
        out.push_str(", si_code=");
        code(info, out);
        fields(info, out);
    }
    out.push('}');
}

fn name(number: u32, out: &mut String) {
    match signal_name(number) {
        Some(name) => out.push_str(name),
        None => _ = write!(out, "{}", number as i32),
    }
}

fn code(info: &SignalInfo, out: &mut String) {
    let name = match info.code {
        SI_USER => "SI_USER",
        SI_KERNEL => "SI_KERNEL",
        SI_QUEUE => "SI_QUEUE",
        SI_TIMER => "SI_TIMER",
        SI_MESGQ => "SI_MESGQ",
        -4 => "SI_ASYNCIO",
        -5 => "SI_SIGIO",
        SI_TKILL => "SI_TKILL",
        own => {
            let names = CODES.iter().find(|(signal, _)| *signal == info.number).map_or(&[][..], |c| c.1);
            match usize::try_from(own).ok().and_then(|n| n.checked_sub(1)).and_then(|i| names.get(i)) {
                Some(name) => name,
                None => {
                    text::hex(out, u64::from(own as u32));
                    return;
                }
            }
        }
    };
    out.push_str(name);
}

fn fields(info: &SignalInfo, out: &mut String) {
    let [a, b, c, d, e, f, g, h] = info.fields;
    let long = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
    let _ = match (info.code, info.number) {
        (SI_KERNEL, _) => Ok(()),
        (SI_USER | SI_TKILL, _) => write!(out, ", si_pid={a}, si_uid={b}"),
        (SI_TIMER, _) => {
            let _ = write!(out, ", si_timerid={a:#x}, si_overrun={}", b as i32);
            value(c, long(c, d), out)
        }
        (code, SIGCHLD) if code > 0 => {
            let _ = write!(out, ", si_pid={a}, si_uid={b}, si_status=");
            if code == 1 {
                let _ = write!(out, "{}", c as i32);
            } else {
                name(c, out);
            }
            // clock_t, after a gap.
            out.push_str(", si_utime=");
            ticks(out, long(e, f) as i64);
            out.push_str(", si_stime=");
            ticks(out, long(g, h) as i64);
            Ok(())
        }
        (code, SIGILL | SIGFPE | SIGSEGV | SIGBUS | SIGTRAP) if code > 0 => {
            out.push_str(", si_addr=");
            text::address(out, long(a, b));
            Ok(())
        }
        (code, SIGIO) if code > 0 => write!(out, ", si_band={}, si_fd={}", long(a, b) as i64, c as i32),
        (code, SIGSYS) if code > 0 => {
            write!(out, ", si_call_addr={:#x}, si_syscall={}, si_arch={d:#x}", long(a, b), c as i32)
        }
        _ => {
            let _ = write!(out, ", si_pid={a}, si_uid={b}");
            value(c, long(c, d), out)
        }
    };
}

fn value(int: u32, pointer: u64, out: &mut String) -> std::fmt::Result {
    if pointer == 0 {
        return Ok(());
    }
    write!(out, ", si_int={}, si_ptr={pointer:#x}", int as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(number: u32, code: i32, fields: [u32; 8]) -> String {
        let mut out = String::new();
        render_signal(&SignalInfo { number, error: 0, code, fields }, &mut out);
        out
    }

    /// What strace 6.1 printed of the same.
    #[test]
    fn signals_are_told_as_strace_tells_them() {
        assert_eq!(
            told(17, 1, [13393, 0, 0, 0, 0, 0, 0, 0]),
            "SIGCHLD {si_signo=SIGCHLD, si_code=CLD_EXITED, si_pid=13393, si_uid=0, si_status=0, si_utime=0, \
             si_stime=0}"
        );
        assert_eq!(
            told(15, 0, [13392, 0, 0, 0, 0, 0, 0, 0]),
            "SIGTERM {si_signo=SIGTERM, si_code=SI_USER, si_pid=13392, si_uid=0}"
        );
        assert_eq!(
            told(10, -1, [13396, 0, 42, 0, 0, 0, 0, 0]),
            "SIGUSR1 {si_signo=SIGUSR1, si_code=SI_QUEUE, si_pid=13396, si_uid=0, si_int=42, si_ptr=0x2a}"
        );
        assert_eq!(told(14, 0x80, [0; 8]), "SIGALRM {si_signo=SIGALRM, si_code=SI_KERNEL}");
        assert_eq!(told(11, 1, [0; 8]), "SIGSEGV {si_signo=SIGSEGV, si_code=SEGV_MAPERR, si_addr=NULL}");
    }

    #[test]
    fn a_hostile_number_is_a_number() {
        assert_eq!(signal_name(u32::MAX), None);
        assert!(told(u32::MAX, i32::MIN, [u32::MAX; 8]).starts_with("-1 {si_signo=-1, si_code=0x80000000"));
    }
}
