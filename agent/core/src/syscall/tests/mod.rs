//! Whole lines against what strace 6.1 printed for the same calls; the deviations are those that [`render`] names.

mod hostile;
mod io;
#[cfg(target_arch = "x86_64")]
mod lines;
mod network;

use super::*;
use crate::event::{Capture, SyscallEvent, Task};
use crate::time::MonoNs;

use CaptureKind as K;

const P: u64 = 0x7ffe_0000_1000;

fn cap(arg: u8, kind: CaptureKind, data: impl AsRef<[u8]>) -> Capture {
    let data = data.as_ref().to_vec();
    Capture { arg, kind: kind as u8, full_len: data.len() as u32, data }
}

fn before(arg: u8, kind: CaptureKind, data: impl AsRef<[u8]>) -> Capture {
    Capture { kind: kind as u8 | 0x80, ..cap(arg, kind, data) }
}

fn cut(arg: u8, kind: CaptureKind, data: impl AsRef<[u8]>, full_len: u32) -> Capture {
    Capture { full_len, ..cap(arg, kind, data) }
}

fn ints(values: &[i32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_ne_bytes()).collect()
}

fn longs(values: &[u64]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_ne_bytes()).collect()
}

fn event(name: &str, args: &[u64], ret: Option<i64>, captures: Vec<Capture>) -> SyscallEvent {
    let mut all = [0; 6];
    all[..args.len()].copy_from_slice(args);
    SyscallEvent {
        task: Task { tgid: 1, tid: 1 },
        nr: number(name).unwrap(),
        args: all,
        ret,
        entered: MonoNs(1_000_000),
        cookie: None,
        captures,
    }
}

fn line(ev: &SyscallEvent) -> String {
    let mut out = String::new();
    render(ev, &RenderOptions::default(), &mut out);
    out
}

#[track_caller]
fn check(name: &str, args: &[u64], ret: i64, captures: Vec<Capture>, expected: &str) {
    // AArch64 has no poll(2) and the like.
    if cfg!(target_arch = "aarch64") && number(name).is_none() {
        return;
    }
    assert_eq!(line(&event(name, args, Some(ret), captures)), expected);
}

const NEG_1: u64 = u64::MAX;

#[test]
fn everything_else() {
    check(
        "mmap",
        &[0, 8192, 3, 0x22, NEG_1, 0],
        0x7f89_0000,
        vec![],
        "mmap(NULL, 8192, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7f890000",
    );
    check("getpid", &[], 7, vec![], "getpid() = 7");
    check(
        "nanosleep",
        &[P, P],
        -516,
        vec![cap(0, K::Fixed, longs(&[1, 5]))],
        "nanosleep({tv_sec=1, tv_nsec=5}, 0x7ffe00001000) = ? ERESTART_RESTARTBLOCK (Interrupted by signal)",
    );
    check("getpid", &[], -600, vec![], "getpid() = -1 (errno 600)");
    let unknown = SyscallEvent { nr: 511, ..event("getpid", &[], Some(-38), vec![]) };
    assert_eq!(line(&unknown), "syscall_0x1ff(0, 0, 0, 0, 0, 0) = -1 ENOSYS (Function not implemented)");
}

#[test]
fn durations_and_the_string_limit_are_as_asked() {
    let ev = event("write", &[1, P, 4], Some(4), vec![cap(1, K::BufferByArg, b"ab\xffd")]);
    let print = |opts| {
        let mut out = String::new();
        render_timed(&ev, MonoNs(1_037_999), &opts, &mut out);
        out
    };
    let opts = RenderOptions { durations: true, ..RenderOptions::default() };
    assert_eq!(print(opts), r#"write(1, "ab\377d", 4) = 4 <0.000037>"#);
    assert_eq!(print(RenderOptions { string_limit: 2, ..opts }), r#"write(1, "ab"..., 4) = 4 <0.000037>"#);
    assert_eq!(
        print(RenderOptions { string_limit: 0, durations: false, ..opts }),
        r#"write(1, ""..., 4) = 4"#
    );
    assert_eq!(
        print(RenderOptions { hex_strings: HexStrings::NonAscii, ..opts }),
        r#"write(1, "\x61\x62\xff\x64", 4) = 4 <0.000037>"#
    );
}

#[test]
fn plans_ask_only_for_arguments_that_exist() {
    for nr in 0..MAX_NR + 10 {
        let plan = plan(nr, PlanOptions { verbose: true, fd_paths: true });
        let argc = table::row(nr).map_or(0, |r| r.2.len());
        assert!(plan.fd_arg < argc as i8, "{nr}");
        let mut ended = false;
        let mut exits = false;
        for spec in plan.captures {
            assert!(!(exits && spec.at_entry), "{nr}: what is read at the entry comes first");
            exits |= !spec.at_entry;
            ended |= spec.kind == K::None;
            assert_eq!(spec.kind == K::None, ended, "{nr}: holes in the plan");
            if !ended {
                assert!(
                    usize::from(spec.arg) < argc || matches!(spec.kind, K::FdRet | K::Sigframe),
                    "{:?}",
                    name(nr)
                );
            }
        }
    }
    let plan = |name| plan(number(name).unwrap(), PlanOptions::default());
    assert_eq!(plan("connect").fd_arg, 0);
    assert_eq!(plan("openat").captures[0], CaptureSpec { arg: 1, kind: K::CString, len: 0, at_entry: false });
    assert_eq!(plan("futex").fd_arg, -1);
    assert_eq!(plan("getpid").captures[0].kind, K::None);
}
