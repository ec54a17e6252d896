//! The network family.

use super::*;

const SIN: &[u8] = b"\x02\0\x15\x38\x0a\0\0\x02\0\0\0\0\0\0\0\0";
const SIN_TEXT: &str = r#"{sa_family=AF_INET, sin_port=htons(5432), sin_addr=inet_addr("10.0.0.2")}"#;

#[test]
fn connecting() {
    check(
        "socket",
        &[2, 0x80801, 0],
        3,
        vec![],
        "socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC|SOCK_NONBLOCK, IPPROTO_IP) = 3",
    );
    check("socket", &[17, 3, 0x0300], 3, vec![], "socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL)) = 3");
    check("socket", &[16, 3, 4], 3, vec![], "socket(AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG) = 3");
    check(
        "socket",
        &[1, 1, 5],
        -93,
        vec![],
        "socket(AF_UNIX, SOCK_STREAM, 5) = -1 EPROTONOSUPPORT (Protocol not supported)",
    );
    check(
        "socket",
        &[99, 99, 6],
        -97,
        vec![],
        "socket(0x63 /* AF_??? */, SOCK_RAW|0x60 /* SOCK_??? */, 6) = -1 EAFNOSUPPORT (Address family not supported by protocol)",
    );
    check(
        "connect",
        &[9, P, 16],
        -115,
        vec![cap(1, K::Sockaddr, SIN)],
        &format!("connect(9, {SIN_TEXT}, 16) = -1 EINPROGRESS (Operation now in progress)"),
    );
    check(
        "connect",
        &[9, 8, 16],
        -14,
        vec![cut(1, K::Sockaddr, b"", 16)],
        "connect(9, 0x8, 16) = -1 EFAULT (Bad address)",
    );
    check("connect", &[9, 0, 0], -22, vec![], "connect(9, NULL, 0) = -1 EINVAL (Invalid argument)");
    check(
        "connect",
        &[9, P, 1],
        -22,
        vec![cap(1, K::Sockaddr, [2])],
        "connect(9, 0x7ffe00001000, 1) = -1 EINVAL (Invalid argument)",
    );
    check("bind", &[3, P, 16], 0, vec![cap(1, K::Sockaddr, SIN)], &format!("bind(3, {SIN_TEXT}, 16) = 0"));
    check("listen", &[3, 128], 0, vec![], "listen(3, 128) = 0");
    check("shutdown", &[3, 2], 0, vec![], "shutdown(3, SHUT_RDWR) = 0");
    check("shutdown", &[3, 5], -22, vec![], "shutdown(3, 0x5 /* SHUT_??? */) = -1 EINVAL (Invalid argument)");
    check(
        "socketpair",
        &[1, 0x80001, 0, P],
        0,
        vec![cap(3, K::Fixed, ints(&[15, 16]))],
        "socketpair(AF_UNIX, SOCK_STREAM|SOCK_CLOEXEC, 0, [15, 16]) = 0",
    );
    check(
        "socketpair",
        &[1, 0x801, 0, 0],
        -14,
        vec![],
        "socketpair(AF_UNIX, SOCK_STREAM|SOCK_NONBLOCK, 0, NULL) = -1 EFAULT (Bad address)",
    );
}

#[test]
fn addresses_that_the_kernel_fills() {
    let captures = || vec![cap(1, K::SockaddrByPtr, SIN), cap(2, K::Fixed, ints(&[16]))];
    check(
        "accept4",
        &[3, P, P, 0x80000],
        5,
        captures(),
        &format!("accept4(3, {SIN_TEXT}, [16], SOCK_CLOEXEC) = 5"),
    );
    check("accept", &[3, P, P], 5, captures(), &format!("accept(3, {SIN_TEXT}, [16]) = 5"));
    let mut grown = captures();
    grown.insert(0, before(2, K::Fixed, ints(&[128])));
    check("accept", &[3, P, P], 5, grown, &format!("accept(3, {SIN_TEXT}, [128 => 16]) = 5"));
    check("accept", &[3, 0, 0], 5, vec![], "accept(3, NULL, NULL) = 5");
    check("getsockname", &[3, P, P], 0, captures(), &format!("getsockname(3, {SIN_TEXT}, [16]) = 0"));
    // What lies there after a failure is not an answer.
    check(
        "getpeername",
        &[3, P, P],
        -107,
        captures(),
        "getpeername(3, 0x7ffe00001000, [16]) = -1 ENOTCONN (Transport endpoint is not connected)",
    );
    check(
        "accept",
        &[3, P, P],
        -512,
        captures(),
        "accept(3, 0x7ffe00001000, [16]) = ? ERESTARTSYS (To be restarted if SA_RESTART is set)",
    );
}

#[test]
fn sending_and_receiving() {
    check(
        "sendto",
        &[9, P, 31, 0, 0, 0],
        31,
        vec![cap(1, K::BufferByArg, b"Q\0\0\0\x1eselect 1")],
        r#"sendto(9, "Q\0\0\0\36select 1"..., 31, 0, NULL, 0) = 31"#,
    );
    check(
        "sendto",
        &[7, P, 5, 0x4040, P, 16],
        5,
        vec![cap(1, K::BufferByArg, b"dgram"), cap(4, K::Sockaddr, SIN)],
        &format!(r#"sendto(7, "dgram", 5, MSG_DONTWAIT|MSG_NOSIGNAL, {SIN_TEXT}, 16) = 5"#),
    );
    check(
        "recvfrom",
        &[6, P, 100, 2, P, P],
        5,
        vec![cap(1, K::BufferByRet, b"dgram"), cap(4, K::SockaddrByPtr, SIN), cap(5, K::Fixed, ints(&[16]))],
        &format!(r#"recvfrom(6, "dgram", 100, MSG_PEEK, {SIN_TEXT}, [16]) = 5"#),
    );
    // A stream socket gives no address.
    check(
        "recvfrom",
        &[6, P, 5, 0x42, P, P],
        5,
        vec![cap(1, K::BufferByRet, b"hello"), cap(4, K::SockaddrByPtr, b""), cap(5, K::Fixed, ints(&[0]))],
        r#"recvfrom(6, "hello", 5, MSG_PEEK|MSG_DONTWAIT, 0x7ffe00001000, [0]) = 5"#,
    );
    check(
        "recvfrom",
        &[4, P, 10, 0, 0, 0],
        -11,
        vec![],
        "recvfrom(4, 0x7ffe00001000, 10, 0, NULL, NULL) = -1 EAGAIN (Resource temporarily unavailable)",
    );
    check("recvfrom", &[4, P, 5, 0, 0, 0], 0, vec![], r#"recvfrom(4, "", 5, 0, NULL, NULL) = 0"#);
    check("read", &[4, P, 5], 3, vec![cap(1, K::BufferByRet, b"a\x1b[")], r#"read(4, "a\33[", 5) = 3"#);
    check("read", &[4, P, 5], 0, vec![], r#"read(4, "", 5) = 0"#);
    check("read", &[4, P, 5], 3, vec![], "read(4, 0x7ffe00001000, 5) = 3");
    check(
        "write",
        &[4, P, 40],
        40,
        vec![cut(1, K::BufferByArg, [b'x'; 32], 40)],
        &format!("write(4, \"{}\"..., 40) = 40", "x".repeat(32)),
    );
    check("write", &[999, P, 0], -9, vec![], r#"write(999, "", 0) = -1 EBADF (Bad file descriptor)"#);
    check(
        "write",
        &[999, 0, 3],
        -9,
        vec![cut(1, K::BufferByArg, b"", 3)],
        "write(999, NULL, 3) = -1 EBADF (Bad file descriptor)",
    );
    check(
        "pread64",
        &[3, P, 5, 7],
        5,
        vec![cap(1, K::BufferByRet, b"0:0:r")],
        r#"pread64(3, "0:0:r", 5, 7) = 5"#,
    );
    check(
        "pwrite64",
        &[3, P, 1, NEG_1],
        -22,
        vec![cap(1, K::BufferByArg, b"a")],
        r#"pwrite64(3, "a", 1, -1) = -1 EINVAL (Invalid argument)"#,
    );
}

fn msghdr(name: u64, name_len: u64, iov: u64, iov_len: u64, control: u64, control_len: u64) -> Capture {
    cap(1, K::Msghdr, longs(&[name, name_len, iov, iov_len, control, control_len, 0]))
}

#[test]
fn messages() {
    check(
        "sendmsg",
        &[4, P, 0x4000],
        10,
        vec![
            msghdr(0, 0, P, 2, 0, 0),
            cap(1, K::Iovec, longs(&[P, 5, P, 5])),
            cap(1, K::IovData, b"hello"),
            cap(1, K::IovData, b"world"),
        ],
        r#"sendmsg(4, {msg_name=NULL, msg_namelen=0, msg_iov=[{iov_base="hello", iov_len=5}, {iov_base="world", iov_len=5}], msg_iovlen=2, msg_controllen=0, msg_flags=0}, MSG_NOSIGNAL) = 10"#,
    );
    check(
        "recvmsg",
        &[6, P, 0],
        2,
        vec![
            msghdr(P, 16, P, 1, P, 24),
            cap(1, K::MsgName, SIN),
            cap(1, K::Iovec, longs(&[P, 100])),
            cap(1, K::IovData, b"m1"),
        ],
        &format!(
            r#"recvmsg(6, {{msg_name={SIN_TEXT}, msg_namelen=16, msg_iov=[{{iov_base="m1", iov_len=100}}], msg_iovlen=1, msg_control=0x7ffe00001000, msg_controllen=24, msg_flags=0}}, 0) = 2"#
        ),
    );
    check(
        "recvmsg",
        &[3, P, 0],
        -11,
        vec![msghdr(P, 16, P, 1, 0, 0)],
        "recvmsg(3, {msg_namelen=16}, 0) = -1 EAGAIN (Resource temporarily unavailable)",
    );
    check(
        "sendmsg",
        &[3, P, 0x4000],
        -14,
        vec![msghdr(0, 0, 8, 2, 0, 0)],
        "sendmsg(3, {msg_name=NULL, msg_namelen=0, msg_iov=0x8, msg_iovlen=2, msg_controllen=0, msg_flags=0}, MSG_NOSIGNAL) = -1 EFAULT (Bad address)",
    );
    check(
        "sendmsg",
        &[3, 8, 0],
        -14,
        vec![cut(1, K::Msghdr, b"", 56)],
        "sendmsg(3, 0x8, 0) = -1 EFAULT (Bad address)",
    );
    check("sendmmsg", &[3, P, 2, 0x40], 2, vec![], "sendmmsg(3, 0x7ffe00001000, 2, MSG_DONTWAIT) = 2");
}

#[test]
fn socket_options() {
    let set = |level, option, data: &[u8], expected| {
        let n = data.len() as u64;
        let ret = vec![cap(3, K::StructByArg, data)];
        check(
            "setsockopt",
            &[3, level, option, P, n],
            0,
            ret,
            &format!("setsockopt(3, {expected}, {n}) = 0"),
        );
    };
    let one = ints(&[1]);
    set(1, 2, &one, "SOL_SOCKET, SO_REUSEADDR, [1]");
    set(6, 1, &one, "SOL_TCP, TCP_NODELAY, [1]");
    set(0, 1, &one, "SOL_IP, IP_TOS, [1]");
    set(0, 1, b"h", r#"SOL_IP, IP_TOS, "h""#);
    set(41, 26, &one, "SOL_IPV6, IPV6_V6ONLY, [1]");
    set(17, 1, &one, "SOL_UDP, UDP_CORK, [1]");
    set(58, 1, &one, "SOL_ICMPV6, 1, [1]");
    set(777, 5, &one, "0x309 /* SOL_?? */, 5, [1]");
    set(1, 9999, &one, "SOL_SOCKET, 0x270f /* SO_??? */, [1]");
    set(1, 13, &ints(&[1, 5]), "SOL_SOCKET, SO_LINGER, {l_onoff=1, l_linger=5}");
    set(1, 13, &one, "SOL_SOCKET, SO_LINGER, 0x7ffe00001000");
    set(1, 20, &longs(&[1, 500_000]), r#"SOL_SOCKET, SO_RCVTIMEO_OLD, "\1\0\0\0\0\0\0\0 \241\7\0\0\0\0\0""#);
    set(1, 25, b"lo\0", r#"SOL_SOCKET, SO_BINDTODEVICE, "lo\0""#);
    set(6, 13, b"hello world", r#"SOL_TCP, TCP_CONGESTION, "hello world""#);
    set(
        0,
        35,
        b"hello wo",
        r#"SOL_IP, IP_ADD_MEMBERSHIP, {imr_multiaddr=inet_addr("104.101.108.108"), imr_interface=inet_addr("111.32.119.111")}"#,
    );
    set(
        41,
        20,
        b"hello world, this is",
        r#"SOL_IPV6, IPV6_ADD_MEMBERSHIP, {inet_pton(AF_INET6, "6865:6c6c:6f20:776f:726c:642c:2074:6869", &ipv6mr_multiaddr), ipv6mr_interface=1936269427}"#,
    );
    check(
        "setsockopt",
        &[3, 1, 2, 0, 4],
        -14,
        vec![],
        "setsockopt(3, SOL_SOCKET, SO_REUSEADDR, NULL, 4) = -1 EFAULT (Bad address)",
    );

    let get = |level, option, data: &[u8], expected: &str| {
        let captures = vec![cap(3, K::StructByPtr, data), cap(4, K::Fixed, ints(&[data.len() as i32]))];
        let expected = format!("getsockopt(3, {expected}, [{}]) = 0", data.len());
        check("getsockopt", &[3, level, option, P, P], 0, captures, &expected);
    };
    get(1, 4, &ints(&[0]), "SOL_SOCKET, SO_ERROR, [0]");
    get(1, 3, &[1, 0], r#"SOL_SOCKET, SO_TYPE, "\1\0""#);
    get(1, 17, &ints(&[7, 0, -1]), "SOL_SOCKET, SO_PEERCRED, {pid=7, uid=0, gid=-1}");
    get(1, 17, &ints(&[7]), "SOL_SOCKET, SO_PEERCRED, {pid=7}");
    get(6, 13, b"bbr\0", "SOL_TCP, TCP_CONGESTION, [7496290]");
    get(6, 1, &[0], r#"SOL_TCP, TCP_NODELAY, "\0""#);
    check(
        "getsockopt",
        &[3, 1, 28, P, P],
        -22,
        vec![cap(4, K::Fixed, ints(&[4]))],
        "getsockopt(3, SOL_SOCKET, SO_PEERNAME, 0x7ffe00001000, [4]) = -1 EINVAL (Invalid argument)",
    );
}
