//! Reads and writes on iovecs, readiness, descriptors, files and processes.

use super::*;

#[test]
fn iovecs() {
    let two = || cap(1, K::Iovec, longs(&[P, 3, P, 10]));
    check(
        "writev",
        &[4, P, 2],
        13,
        vec![two(), cap(1, K::IovData, b"abc"), cap(1, K::IovData, b"defghijklm")],
        r#"writev(4, [{iov_base="abc", iov_len=3}, {iov_base="defghijklm", iov_len=10}], 2) = 13"#,
    );
    check(
        "readv",
        &[5, P, 2],
        5,
        vec![two(), cap(1, K::IovData, b"abc"), cap(1, K::IovData, b"de")],
        r#"readv(5, [{iov_base="abc", iov_len=3}, {iov_base="de", iov_len=10}], 2) = 5"#,
    );
    check(
        "readv",
        &[5, P, 2],
        2,
        vec![two(), cap(1, K::IovData, b"ab")],
        r#"readv(5, [{iov_base="ab", iov_len=3}, {iov_base="", iov_len=10}], 2) = 2"#,
    );
    // A piece that couldn't be read is not an empty string.
    check(
        "writev",
        &[4, P, 2],
        13,
        vec![two(), cap(1, K::IovData, b"abc"), cut(1, K::IovData, b"", 10)],
        r#"writev(4, [{iov_base="abc", iov_len=3}, {iov_base=0x7ffe00001000, iov_len=10}], 2) = 13"#,
    );
    check(
        "readv",
        &[999, P, 2],
        -9,
        vec![two()],
        "readv(999, [{iov_base=0x7ffe00001000, iov_len=3}, {iov_base=0x7ffe00001000, iov_len=10}], 2) = -1 EBADF (Bad file descriptor)",
    );
    check("writev", &[999, P, 0], -9, vec![], "writev(999, [], 0) = -1 EBADF (Bad file descriptor)");
    check("writev", &[999, 8, 2], -9, vec![], "writev(999, 0x8, 2) = -1 EBADF (Bad file descriptor)");
    check(
        "writev",
        &[1, P, 12],
        16,
        vec![
            cut(1, K::Iovec, longs(&[P, 2, P, 2]), 192),
            cap(1, K::IovData, b"he"),
            cap(1, K::IovData, b"he"),
        ],
        r#"writev(1, [{iov_base="he", iov_len=2}, {iov_base="he", iov_len=2}, ...], 12) = 16"#,
    );
    check(
        "pwritev2",
        &[4, P, 1, 5, 0, 9],
        3,
        vec![cap(1, K::Iovec, longs(&[P, 3])), cap(1, K::IovData, b"abc")],
        r#"pwritev2(4, [{iov_base="abc", iov_len=3}], 1, 5, RWF_HIPRI|RWF_NOWAIT) = 3"#,
    );
}

#[test]
fn waiting() {
    let pollfd = |fd: i32, events: u16, revents: u16| {
        [&fd.to_ne_bytes()[..], &events.to_ne_bytes(), &revents.to_ne_bytes()].concat()
    };
    let three = || cap(0, K::Pollfds, [pollfd(3, 1, 1), pollfd(-1, 4, 0), pollfd(999, 5, 32)].concat());
    check(
        "poll",
        &[P, 3, 0],
        2,
        vec![three()],
        "poll([{fd=3, events=POLLIN}, {fd=-1}, {fd=999, events=POLLIN|POLLOUT}], 3, 0) = 2 ([{fd=3, revents=POLLIN}, {fd=999, revents=POLLNVAL}])",
    );
    check(
        "poll",
        &[P, 1, 0xffff_ffff],
        -4,
        vec![cap(0, K::Pollfds, pollfd(3, 1, 0))],
        "poll([{fd=3, events=POLLIN}], 1, -1) = -1 EINTR (Interrupted system call)",
    );
    check(
        "poll",
        &[P, 1, 10],
        0,
        vec![cap(0, K::Pollfds, pollfd(3, 1, 0))],
        "poll([{fd=3, events=POLLIN}], 1, 10) = 0 (Timeout)",
    );
    check("poll", &[0, 0, 0], 0, vec![], "poll(NULL, 0, 0) = 0 (Timeout)");
    check("poll", &[P, 0, 5], 0, vec![], "poll([], 0, 5) = 0 (Timeout)");
    check(
        "poll",
        &[8, 3, 0],
        -14,
        vec![cut(0, K::Pollfds, b"", 24)],
        "poll(0x8, 3, 0) = -1 EFAULT (Bad address)",
    );
    check(
        "poll",
        &[P, 40, 0],
        0,
        vec![cut(0, K::Pollfds, pollfd(3, 4, 0), 320)],
        "poll([{fd=3, events=POLLOUT}, ...], 40, 0) = 0 (Timeout)",
    );
    check(
        "ppoll",
        &[P, 1, P, 0, 8],
        1,
        vec![
            before(2, K::Fixed, longs(&[1, 0])),
            cap(0, K::Pollfds, pollfd(3, 1, 1)),
            cap(2, K::Fixed, longs(&[0, 999])),
        ],
        "ppoll([{fd=3, events=POLLIN}], 1, {tv_sec=1, tv_nsec=0}, NULL, 8) = 1 ([{fd=3, revents=POLLIN}], left {tv_sec=0, tv_nsec=999})",
    );
    check(
        "pselect6",
        &[6, P, P, 0, P, 0],
        1,
        vec![
            before(1, K::Fixed, [8; 128]),
            before(2, K::Fixed, [48]),
            before(4, K::Fixed, longs(&[2, 0])),
            cap(1, K::Fixed, [0; 128]),
            cap(2, K::Fixed, [16]),
        ],
        "pselect6(6, [3], [4 5], NULL, {tv_sec=2, tv_nsec=0}, NULL) = 1 (out [4])",
    );
    check(
        "pselect6",
        &[6, 0, 0, 0, 0, 0],
        0,
        vec![],
        "pselect6(6, NULL, NULL, NULL, NULL, NULL) = 0 (Timeout)",
    );
    check(
        "pselect6",
        &[6, P, 0, 0, 0, 0],
        -9,
        vec![before(1, K::Fixed, [0x30])],
        "pselect6(6, [4 5], NULL, NULL, NULL, NULL) = -1 EBADF (Bad file descriptor)",
    );
    // Bits above nfds are not the kernel's.
    check(
        "pselect6",
        &[2, P, 0, 0, 0, 0],
        1,
        vec![before(1, K::Fixed, [0xff; 128]), cap(1, K::Fixed, [0xff; 128])],
        "pselect6(2, [0 1], NULL, NULL, NULL, NULL) = 1 (in [0 1])",
    );
}

fn epoll_event_bytes(events: u32, data: u64) -> Vec<u8> {
    let padding = if cfg!(target_arch = "x86_64") { 0 } else { 4 };
    [&events.to_ne_bytes()[..], &vec![0; padding], &data.to_ne_bytes()].concat()
}

#[test]
fn epoll() {
    check("epoll_create1", &[0x80000], 15, vec![], "epoll_create1(EPOLL_CLOEXEC) = 15");
    check(
        "epoll_create1",
        &[5],
        -22,
        vec![],
        "epoll_create1(0x5 /* EPOLL_??? */) = -1 EINVAL (Invalid argument)",
    );
    let ev = |events, data| vec![cap(3, K::Fixed, epoll_event_bytes(events, data))];
    check(
        "epoll_ctl",
        &[21, 1, 4, P],
        0,
        ev(0x8000_2001, 4),
        "epoll_ctl(21, EPOLL_CTL_ADD, 4, {events=EPOLLIN|EPOLLRDHUP|EPOLLET, data={u32=4, u64=4}}) = 0",
    );
    check(
        "epoll_ctl",
        &[15, 3, 3, P],
        0,
        ev(0x2005, 0x1234_5678_9abc),
        "epoll_ctl(15, EPOLL_CTL_MOD, 3, {events=EPOLLIN|EPOLLOUT|EPOLLRDHUP, data={u32=1450744508, u64=20015998343868}}) = 0",
    );
    check("epoll_ctl", &[21, 2, 4, P], 0, ev(1, 4), "epoll_ctl(21, EPOLL_CTL_DEL, 4, 0x7ffe00001000) = 0");
    let got = || vec![cap(1, K::EpollEvents, epoll_event_bytes(4, 4))];
    check(
        "epoll_pwait",
        &[21, P, 1023, 1000, 0, 8],
        1,
        got(),
        "epoll_pwait(21, [{events=EPOLLOUT, data={u32=4, u64=4}}], 1023, 1000, NULL, 8) = 1",
    );
    check("epoll_pwait", &[21, P, 10, 0, 0, 8], 0, vec![], "epoll_pwait(21, [], 10, 0, NULL, 8) = 0");
    check(
        "epoll_pwait",
        &[999, P, 3, 0xffff_ffff, P, 8],
        -9,
        vec![],
        "epoll_pwait(999, 0x7ffe00001000, 3, -1, 0x7ffe00001000, 8) = -1 EBADF (Bad file descriptor)",
    );
    check(
        "epoll_pwait2",
        &[15, P, 10, P, 0, 8],
        0,
        vec![cap(3, K::Fixed, longs(&[0, 5]))],
        "epoll_pwait2(15, [], 10, {tv_sec=0, tv_nsec=5}, NULL, 8) = 0",
    );
    check("eventfd2", &[5, 0x80801], 17, vec![], "eventfd2(5, EFD_SEMAPHORE|EFD_CLOEXEC|EFD_NONBLOCK) = 17");
}

#[test]
fn descriptors() {
    check("close", &[0xffff_ffff], -9, vec![], "close(-1) = -1 EBADF (Bad file descriptor)");
    check("dup", &[3], 23, vec![], "dup(3) = 23");
    check("dup3", &[3, 61, 0x80000], 61, vec![], "dup3(3, 61, O_CLOEXEC) = 61");
    check(
        "pipe2",
        &[P, 0x80800],
        0,
        vec![cap(0, K::Fixed, ints(&[19, 20]))],
        "pipe2([19, 20], O_NONBLOCK|O_CLOEXEC) = 0",
    );
    check("fcntl", &[4, 3, 0], 0x802, vec![], "fcntl(4, F_GETFL) = 0x802 (flags O_RDWR|O_NONBLOCK)");
    check("fcntl", &[4, 4, 0x802], 0, vec![], "fcntl(4, F_SETFL, O_RDWR|O_NONBLOCK) = 0");
    check("fcntl", &[4, 1, 0], 1, vec![], "fcntl(4, F_GETFD) = 0x1 (flags FD_CLOEXEC)");
    check("fcntl", &[4, 1, 0], 0, vec![], "fcntl(4, F_GETFD) = 0");
    check("fcntl", &[4, 2, 3], 0, vec![], "fcntl(4, F_SETFD, FD_CLOEXEC|0x2) = 0");
    check("fcntl", &[4, 1030, 100], 100, vec![], "fcntl(4, F_DUPFD_CLOEXEC, 100) = 100");
    check(
        "fcntl",
        &[4, 9999, 5],
        -22,
        vec![],
        "fcntl(4, 0x270f /* F_??? */, 0x5) = -1 EINVAL (Invalid argument)",
    );
    check("fcntl", &[3, 11, 0], 10, vec![], "fcntl(3, F_GETSIG) = 10 (SIGUSR1)");
    let lock = || vec![cap(2, K::Ioctl, longs(&[0, 2, 5, 0]))];
    check(
        "fcntl",
        &[22, 6, P],
        0,
        lock(),
        "fcntl(22, F_SETLK, {l_type=F_RDLCK, l_whence=SEEK_SET, l_start=2, l_len=5}) = 0",
    );
    check(
        "fcntl",
        &[22, 5, P],
        0,
        lock(),
        "fcntl(22, F_GETLK, {l_type=F_RDLCK, l_whence=SEEK_SET, l_start=2, l_len=5, l_pid=0}) = 0",
    );
    let one = || vec![cap(2, K::Ioctl, ints(&[1]))];
    check("ioctl", &[3, 0x5421, P], 0, one(), "ioctl(3, FIONBIO, [1]) = 0");
    check("ioctl", &[3, 0x541b, P], 0, one(), "ioctl(3, FIONREAD, [1]) = 0");
    check(
        "ioctl",
        &[999, 0x541b, P],
        -9,
        one(),
        "ioctl(999, FIONREAD, 0x7ffe00001000) = -1 EBADF (Bad file descriptor)",
    );
    check("ioctl", &[3, 0x5451, 0], 0, vec![], "ioctl(3, FIOCLEX) = 0");
    check(
        "ioctl",
        &[3, 0x5401, P],
        -25,
        vec![],
        "ioctl(3, TCGETS, 0x7ffe00001000) = -1 ENOTTY (Inappropriate ioctl for device)",
    );
    check(
        "ioctl",
        &[3, 0x1234_5678, 0],
        -25,
        vec![],
        "ioctl(3, _IOC(_IOC_NONE, 0x56, 0x78, 0x1234), 0) = -1 ENOTTY (Inappropriate ioctl for device)",
    );
    check(
        "sendfile",
        &[3, 26, P, 10],
        10,
        vec![before(2, K::Fixed, longs(&[3])), cap(2, K::Fixed, longs(&[13]))],
        "sendfile(3, 26, [3] => [13], 10) = 10",
    );
    check(
        "sendfile",
        &[3, 999, P, 10],
        -9,
        vec![before(2, K::Fixed, longs(&[3])), cap(2, K::Fixed, longs(&[3]))],
        "sendfile(3, 999, [3], 10) = -1 EBADF (Bad file descriptor)",
    );
    check("sendfile", &[3, 26, 0, 10], 3, vec![], "sendfile(3, 26, NULL, 10) = 3");
    check(
        "splice",
        &[22, P, 26, 0, 10, 3],
        3,
        vec![before(1, K::Fixed, longs(&[0]))],
        "splice(22, [0], 26, NULL, 10, SPLICE_F_MOVE|SPLICE_F_NONBLOCK) = 3",
    );
    check(
        "tee",
        &[1, 2, 10, 2],
        -9,
        vec![],
        "tee(1, 2, 10, SPLICE_F_NONBLOCK) = -1 EBADF (Bad file descriptor)",
    );
}

#[test]
fn files() {
    let path = |p: &str| vec![cap(1, K::CString, p)];
    const AT_FDCWD: u64 = 0xffff_ff9c;
    check(
        "openat",
        &[AT_FDCWD, P, 0x80000, 0],
        3,
        path("/etc/hostname"),
        r#"openat(AT_FDCWD, "/etc/hostname", O_RDONLY|O_CLOEXEC) = 3"#,
    );
    check(
        "openat",
        &[AT_FDCWD, P, 0x800c2, 0o640],
        3,
        path("/x"),
        r#"openat(AT_FDCWD, "/x", O_RDWR|O_CREAT|O_EXCL|O_CLOEXEC, 0640) = 3"#,
    );
    check("openat", &[5, 0, 0, 0], -14, vec![], "openat(5, NULL, O_RDONLY) = -1 EFAULT (Bad address)");
    // A path is not cut at the string limit, and an escape sequence in it doesn't reach the terminal.
    let long = "/nope".repeat(18);
    check(
        "openat",
        &[5, P, 4, 0],
        -2,
        path(&long),
        &format!("openat(5, \"{long}\", O_RDONLY|0x4) = -1 ENOENT (No such file or directory)"),
    );
    check("openat", &[5, P, 0, 0], 3, path("/\x1b]0;x\x07"), r#"openat(5, "/\33]0;x\7", O_RDONLY) = 3"#);
    check(
        "openat",
        &[5, P, 0, 0],
        3,
        vec![cut(1, K::CString, "/abc", 4096)],
        r#"openat(5, "/abc"..., O_RDONLY) = 3"#,
    );
    check(
        "newfstatat",
        &[22, P, P, 0x1000],
        0,
        path(""),
        r#"newfstatat(22, "", 0x7ffe00001000, AT_EMPTY_PATH) = 0"#,
    );
    check(
        "faccessat",
        &[AT_FDCWD, P, 5],
        -2,
        path("/nope"),
        r#"faccessat(AT_FDCWD, "/nope", R_OK|X_OK) = -1 ENOENT (No such file or directory)"#,
    );
    check(
        "lseek",
        &[3, (-5i64) as u64, 9],
        -22,
        vec![],
        "lseek(3, -5, 0x9 /* SEEK_??? */) = -1 EINVAL (Invalid argument)",
    );
    check("mkdirat", &[AT_FDCWD, P, 0o755], 0, path("/a"), r#"mkdirat(AT_FDCWD, "/a", 0755) = 0"#);
}

#[test]
fn processes() {
    check(
        "execve",
        &[P, P, P],
        0,
        vec![cap(0, K::CString, "/bin/true"), cap(1, K::ExecArgv, b"true\0a\"b\0c\n\0")],
        r#"execve("/bin/true", ["true", "a\"b", "c\n"], 0x7ffe00001000) = 0"#,
    );
    check(
        "execve",
        &[P, P, P],
        0,
        vec![cap(0, K::CString, "/bin/true"), cap(1, K::ExecArgv, b"true\0\0x\0")],
        r#"execve("/bin/true", ["true", "", "x"], 0x7ffe00001000) = 0"#,
    );
    check(
        "execve",
        &[P, P, P],
        0,
        vec![cap(0, K::CString, "/bin/true"), cut(1, K::ExecArgv, b"true\0ab", 90)],
        r#"execve("/bin/true", ["true", "ab"..., ...], 0x7ffe00001000) = 0"#,
    );
    check(
        "execve",
        &[P, P, P],
        -2,
        vec![cap(0, K::CString, "/nope")],
        r#"execve("/nope", 0x7ffe00001000, 0x7ffe00001000) = -1 ENOENT (No such file or directory)"#,
    );
    check("exit_group", &[7], 0, vec![], "exit_group(7) = 0");
    assert_eq!(line(&event("exit_group", &[7], None, vec![])), "exit_group(7) = ?");
    let status = |s: i32| vec![cap(1, K::Fixed, ints(&[s]))];
    check(
        "wait4",
        &[5, P, 0, 0],
        5,
        status(0x300),
        "wait4(5, [{WIFEXITED(s) && WEXITSTATUS(s) == 3}], 0, NULL) = 5",
    );
    check(
        "wait4",
        &[5, P, 0, 0],
        5,
        status(0x8b),
        "wait4(5, [{WIFSIGNALED(s) && WTERMSIG(s) == SIGSEGV && WCOREDUMP(s)}], 0, NULL) = 5",
    );
    check(
        "wait4",
        &[5, P, 3, 0],
        5,
        status(0x137f),
        "wait4(5, [{WIFSTOPPED(s) && WSTOPSIG(s) == SIGSTOP}], WNOHANG|WSTOPPED, NULL) = 5",
    );
    check(
        "wait4",
        &[NEG_1, P, 1, 0],
        -10,
        status(0),
        "wait4(-1, 0x7ffe00001000, WNOHANG, NULL) = -1 ECHILD (No child processes)",
    );
    check("kill", &[14770, 15], 0, vec![], "kill(14770, SIGTERM) = 0");
    check("kill", &[14770, 34], 0, vec![], "kill(14770, SIGRT_2) = 0");
    check("tgkill", &[1, 2, 65], -22, vec![], "tgkill(1, 2, 65) = -1 EINVAL (Invalid argument)");
    let (tls, tid) = if cfg!(target_arch = "aarch64") { (0, P) } else { (P, 0) };
    check(
        "clone",
        &[0x120_0011, 0, 0, tls, tid],
        14768,
        vec![],
        "clone(child_stack=NULL, flags=CLONE_CHILD_CLEARTID|CLONE_CHILD_SETTID|SIGCHLD, child_tidptr=0x7ffe00001000) = 14768",
    );
    check("clone", &[17, 0, 0, 0, 0], 5, vec![], "clone(child_stack=NULL, flags=SIGCHLD) = 5");
    check(
        "clone3",
        &[P, 88],
        14771,
        vec![cap(0, K::StructByArg, longs(&[0x3d_0f00, 0, 0x10, 0x20, 0, 0x30, 0x7f_ff80, 0x40, 0, 0, 0]))],
        "clone3({flags=CLONE_VM|CLONE_FS|CLONE_FILES|CLONE_SIGHAND|CLONE_THREAD|CLONE_SYSVSEM|CLONE_SETTLS|CLONE_PARENT_SETTID|CLONE_CHILD_CLEARTID, child_tid=0x10, parent_tid=0x20, exit_signal=0, stack=0x30, stack_size=0x7fff80, tls=0x40} => {parent_tid=[14771]}, 88) = 14771",
    );
    check("clone3", &[0, 88], -14, vec![], "clone3(NULL, 88) = -1 EFAULT (Bad address)");
}
