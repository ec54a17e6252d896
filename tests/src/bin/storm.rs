//! More of something than anybody needs, counted: calls, connections, SYNs, datagrams, forks.
//!
//! It says that it is ready, waits for a line on standard input, does it, says what it did as a line of JSON, and ends when
//! its input does.

use std::io::{self, BufRead as _, Read as _};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

use nix::sys::socket::{MsgFlags, SockaddrIn, sendto};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};
use serde_json::{Value, json};

type Outcome = Result<Value, Box<dyn std::error::Error>>;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let storm: Box<dyn FnOnce() -> Outcome> =
        match words.as_slice() {
            ["calls", count] => {
                let count = count.parse()?;
                Box::new(move || Ok(calls(count)))
            }
            ["connections", address, count] => {
                let (address, count) = (address.parse()?, count.parse()?);
                Box::new(move || connections(address, count))
            }
            ["accept", address] => {
                let listener = TcpListener::bind(address)?;
                Box::new(move || accept(&listener))
            }
            ["syns", address, count] => {
                let (address, count) = (address.parse()?, count.parse()?);
                Box::new(move || syns(address, count))
            }
            ["datagrams", address, count] => {
                let (address, count) = (address.parse()?, count.parse()?);
                Box::new(move || datagrams(address, count))
            }
            ["refused", address, count] => {
            let (address, count) = (address.parse()?, count.parse()?);
            Box::new(move || Ok(refused(address, count)))
        }
        ["callers", address, count] => {
                let (address, count) = (address.parse()?, count.parse()?);
                Box::new(move || callers(address, count))
            }
            ["forks", count] => {
                let count = count.parse()?;
                Box::new(move || forks(count))
            }
            _ => return Err(
                "usage: storm calls|forks N | accept ADDRESS | connections|callers|refused|syns|datagrams ADDRESS N"
                    .into(),
            ),
        };
    println!("{}", json!({"ready": std::process::id()}));
    io::stdin().lock().read_line(&mut String::new())?;
    println!("{}", storm()?);
    io::stdin().lock().read_to_end(&mut Vec::new())?;
    Ok(())
}

fn calls(count: u64) -> Value {
    for _ in 0..count {
        std::hint::black_box(std::os::unix::process::parent_id());
    }
    json!({"calls": count})
}

/// One after the other: each asks with a byte, gets one, and closes.
fn connections(address: SocketAddrV4, count: u64) -> Outcome {
    for _ in 0..count {
        let mut stream = TcpStream::connect(address)?;
        io::Write::write_all(&mut stream, b"?")?;
        stream.read_exact(&mut [0])?;
    }
    Ok(json!({"connections": count}))
}

/// Where nobody listens.
fn refused(address: SocketAddrV4, count: u64) -> Value {
    let refused = (0..count).filter(|_| TcpStream::connect(address).is_err()).count();
    json!({"refused": refused})
}

/// Answers until it is told to end: the count is the kernel's.
fn accept(listener: &TcpListener) -> Outcome {
    let listener = listener.try_clone()?;
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            // Who leaves without having asked gets no answer.
            if stream.read_exact(&mut [0]).is_ok() {
                let _ = io::Write::write_all(&mut stream, b"!");
            }
        }
    });
    Ok(json!({"accepting": true}))
}

/// SYNs from addresses of 10.0.0.0/8 where nobody is, and nobody answers.
fn syns(to: SocketAddrV4, count: u32) -> Outcome {
    const IP_HEADER: usize = 20;
    let raw = raw_socket()?;
    let target = SockaddrIn::from(SocketAddrV4::new(*to.ip(), 0));
    let mut sent = 0;
    for n in 0..count {
        let from = Ipv4Addr::from(0x0a63_0000 | (n & 0xffff));
        let port = 1024 + (n >> 16) as u16;
        let mut packet = vec![0; IP_HEADER];
        packet[0] = 0x45;
        packet[8] = 64;
        packet[9] = libc::IPPROTO_TCP as u8;
        packet[12..16].copy_from_slice(&from.octets());
        packet[16..20].copy_from_slice(&to.ip().octets());
        packet.extend(syn(from, port, to, n));
        sent += u32::from(sendto(raw.as_raw_fd(), &packet, &target, MsgFlags::empty()).is_ok());
    }
    Ok(json!({"syns": sent}))
}

/// A raw socket that takes IP headers (raw(7), IPPROTO_RAW), which nix has no name for.
fn raw_socket() -> io::Result<OwnedFd> {
    // SAFETY: numbers go in and a descriptor comes out, which nobody else owns.
    unsafe {
        match libc::socket(libc::AF_INET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, libc::IPPROTO_RAW) {
            -1 => Err(io::Error::last_os_error()),
            fd => Ok(OwnedFd::from_raw_fd(fd)),
        }
    }
}

/// The TCP header of a SYN (RFC 9293, 3.1), with its checksum.
fn syn(from: Ipv4Addr, port: u16, to: SocketAddrV4, seq: u32) -> [u8; 20] {
    let mut header = [0; 20];
    header[0..2].copy_from_slice(&port.to_be_bytes());
    header[2..4].copy_from_slice(&to.port().to_be_bytes());
    header[4..8].copy_from_slice(&seq.to_be_bytes());
    header[12] = 5 << 4;
    header[13] = 2;
    header[14..16].copy_from_slice(&64_000_u16.to_be_bytes());
    let pseudo = [from.octets(), to.ip().octets(), [0, libc::IPPROTO_TCP as u8, 0, 20]].concat();
    let words = pseudo.iter().chain(&header).copied().collect::<Vec<u8>>();
    let mut sum: u32 = words.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    header[16..18].copy_from_slice(&(!(sum as u16)).to_be_bytes());
    header
}

fn datagrams(to: SocketAddrV4, count: u64) -> Outcome {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.connect(to)?;
    let (mut sent, mut refused) = (0_u64, 0_u64);
    for _ in 0..count {
        match socket.send(b"storm") {
            Ok(_) => sent += 1,
            Err(_) => refused += 1,
        }
    }
    Ok(json!({"sent": sent, "refused": refused}))
}

/// One child after the other, each ends at once.
fn forks(count: u64) -> Outcome {
    for _ in 0..count {
        // SAFETY: there is one thread, and the child only ends.
        match unsafe { fork() }? {
            ForkResult::Child => nix::sys::signal::raise(nix::sys::signal::Signal::SIGKILL)?,
            ForkResult::Parent { child } => {
                let status = waitpid(child, None)?;
                assert!(matches!(status, WaitStatus::Signaled(..)), "{status:?}");
            }
        }
    }
    Ok(json!({"forks": count}))
}

/// One child after the other, each opens a connection, asks, and ends.
fn callers(address: SocketAddrV4, count: u64) -> Outcome {
    for _ in 0..count {
        // SAFETY: there is one thread.
        match unsafe { fork() }? {
            ForkResult::Child => {
                let code = i32::from(connections(address, 1).is_err());
                // SAFETY: ends the process, and runs nothing of the parent's on its way.
                unsafe { libc::_exit(code) }
            }
            ForkResult::Parent { child } => {
                let status = waitpid(child, None)?;
                assert!(matches!(status, WaitStatus::Exited(_, 0)), "{status:?}");
            }
        }
    }
    Ok(json!({"processes": count}))
}
