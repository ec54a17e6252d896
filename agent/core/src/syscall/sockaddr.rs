//! Socket addresses as strace prints them.

use std::fmt::Write;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::names::link::{ARPHRD, ETH_P, PACKET_TYPE};
use super::names::net::AF;
use super::render::{HexStrings, Interfaces, RenderOptions};
use super::text::{self, be16_at, be32_at, i32_at, u16_at, u32_at};

const AF_UNIX: u16 = 1;
const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;
const AF_NETLINK: u16 = 16;
const AF_PACKET: u16 = 17;
const AF_VSOCK: u16 = 40;

/// `struct sockaddr_un.sun_path` (`linux/un.h`).
const UNIX_PATH_MAX: usize = 108;
/// `struct sockaddr_ll.sll_addr` (`linux/if_packet.h`).
const LL_ADDR_MAX: usize = 8;

/// Writes an address; false, and nothing written, where `data` doesn't even hold a family.
pub(super) fn sockaddr(out: &mut String, data: &[u8], opts: &RenderOptions) -> bool {
    let Some(family) = u16_at(data, 0) else { return false };
    out.push_str("{sa_family=");
    text::one_of(out, family.into(), AF, "AF_???");
    let known = match family {
        AF_INET => inet(out, data, opts),
        AF_INET6 => inet6(out, data, opts),
        AF_UNIX => unix(out, data, opts),
        AF_NETLINK => netlink(out, data),
        AF_PACKET => packet(out, data, opts),
        AF_VSOCK => vsock(out, data),
        _ => None,
    };
    if let (None, Some(rest @ [_, ..])) = (known, data.get(2..)) {
        out.push_str(", sa_data=\"");
        text::escape(out, rest);
        out.push('"');
    }
    out.push('}');
    true
}

/// An interface by its name, where it has one; the loopback's number is the same everywhere (`LOOPBACK_IFINDEX`).
pub(super) fn interface(out: &mut String, index: i32, names: Interfaces) {
    let known = names.iter().find(|(n, _)| i32::try_from(*n) == Ok(index)).map(|(_, name)| &**name);
    match known.or((index == 1).then_some("lo")) {
        Some(name) => {
            out.push_str("if_nametoindex(\"");
            text::escape(out, name.as_bytes());
            out.push_str("\")");
        }
        None => _ = write!(out, "{index}"),
    }
}

/// `inet_addr("1.2.3.4")` of four bytes in network order.
pub(super) fn inet_addr(out: &mut String, address: u32) {
    let _ = write!(out, "inet_addr(\"{}\")", Ipv4Addr::from_bits(address));
}

/// `inet_pton(AF_INET6, "::1", &name)`.
pub(super) fn inet_pton6(out: &mut String, data: &[u8], name: &str) -> Option<()> {
    let address = Ipv6Addr::from(*data.first_chunk::<16>()?);
    out.push_str("inet_pton(AF_INET6, \"");
    match address.segments() {
        // inet_ntop writes IPv4-compatible addresses with dots, std does not.
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => {
            let _ = write!(out, "::{}", Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)));
        }
        _ => {
            let _ = write!(out, "{address}");
        }
    }
    let _ = write!(out, "\", &{name})");
    Some(())
}

fn inet(out: &mut String, data: &[u8], opts: &RenderOptions) -> Option<()> {
    data.get(..16)?;
    let _ = write!(out, ", sin_port=htons({}), sin_addr=", be16_at(data, 2)?);
    let at = out.len();
    inet_addr(out, be32_at(data, 4)?);
    // `-xx` spares no string.
    if opts.hex_strings == HexStrings::Always {
        let text = out.split_off(at);
        out.push_str("inet_addr(\"");
        text::hex_bytes(out, text.trim_start_matches("inet_addr(\"").trim_end_matches("\")").as_bytes());
        out.push_str("\")");
    }
    Some(())
}

fn inet6(out: &mut String, data: &[u8], opts: &RenderOptions) -> Option<()> {
    let address = data.get(8..24)?;
    let _ =
        write!(out, ", sin6_port=htons({}), sin6_flowinfo=htonl({}), ", be16_at(data, 2)?, be32_at(data, 4)?);
    inet_pton6(out, address, "sin6_addr")?;
    if let Some(scope) = u32_at(data, 24) {
        out.push_str(", sin6_scope_id=");
        // Of a link-local address it is an interface.
        if address.starts_with(&[0xfe, 0x80]) || address.starts_with(&[0xff, 0x02]) {
            interface(out, scope as i32, opts.interfaces);
        } else {
            let _ = write!(out, "{scope}");
        }
    }
    Some(())
}

fn unix(out: &mut String, data: &[u8], opts: &RenderOptions) -> Option<()> {
    let path = data.get(2..)?;
    let path = &path[..path.len().min(UNIX_PATH_MAX)];
    let (mark, path) = match path {
        [] => return Some(()),
        [0, name @ ..] => ("@", name),
        _ => ("", path.split(|b| *b == 0).next().unwrap_or_default()),
    };
    let _ = write!(out, ", sun_path={mark}");
    text::quoted(out, path, path.len() as u64, u32::MAX, opts.hex_strings);
    Some(())
}

fn netlink(out: &mut String, data: &[u8]) -> Option<()> {
    let (pad, pid, groups) = (u16_at(data, 2)?, u32_at(data, 4)?, u32_at(data, 8)?);
    if pad != 0 {
        let _ = write!(out, ", nl_pad={pad:#x}");
    }
    let _ = write!(out, ", nl_pid={}, nl_groups=", pid as i32);
    let _ = if groups == 0 { write!(out, "00000000") } else { write!(out, "{groups:#08x}") };
    Some(())
}

fn packet(out: &mut String, data: &[u8], opts: &RenderOptions) -> Option<()> {
    let address = data.get(12..20)?;
    let (protocol, ifindex, hatype) = (be16_at(data, 2)?, i32_at(data, 4)?, u16_at(data, 8)?);
    let (pkttype, halen) = (*data.get(10)?, *data.get(11)?);
    out.push_str(", sll_protocol=htons(");
    text::one_of(out, protocol.into(), ETH_P, "ETH_P_???");
    out.push_str("), sll_ifindex=");
    interface(out, ifindex, opts.interfaces);
    out.push_str(", sll_hatype=");
    text::one_of(out, hatype.into(), ARPHRD, "ARPHRD_???");
    out.push_str(", sll_pkttype=");
    text::one_of(out, pkttype.into(), PACKET_TYPE, "PACKET_???");
    let _ = write!(out, ", sll_halen={halen}");
    if halen > 0 {
        let halen = usize::from(halen);
        out.push_str(", sll_addr=[");
        for (i, b) in address.iter().take(halen).enumerate() {
            let _ = write!(out, "{}{b:#04x}", if i == 0 { "" } else { ", " });
        }
        out.push_str(if halen > LL_ADDR_MAX { ", ...]" } else { "]" });
    }
    Some(())
}

fn vsock(out: &mut String, data: &[u8]) -> Option<()> {
    let (port, cid, flags) = (u32_at(data, 4)?, u32_at(data, 8)?, *data.get(12)?);
    out.push_str(", svm_cid=");
    text::hex(out, cid.into());
    out.push_str(", svm_port=");
    text::hex(out, port.into());
    out.push_str(", svm_flags=");
    text::hex(out, flags.into());
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn print(data: &[u8]) -> String {
        let mut s = String::new();
        assert_eq!(sockaddr(&mut s, data, &RenderOptions::default()), data.len() >= 2);
        s
    }

    fn with_family(family: u16, rest: &[u8]) -> Vec<u8> {
        [&family.to_ne_bytes(), rest].concat()
    }

    // All expected strings are strace 6.1's.
    #[test]
    fn inet_addresses() {
        let a = with_family(AF_INET, b"\x15\x38\x0a\0\0\x02\0\0\0\0\0\0\0\0");
        assert_eq!(print(&a), r#"{sa_family=AF_INET, sin_port=htons(5432), sin_addr=inet_addr("10.0.0.2")}"#);
        assert_eq!(
            print(&with_family(AF_INET, b"\x005\x01\x02\x03\x04")),
            r#"{sa_family=AF_INET, sa_data="\0005\1\2\3\4"}"#
        );
        assert_eq!(print(b"\x02"), "");
    }

    #[test]
    fn inet6_addresses() {
        let mut a = with_family(AF_INET6, b"\0\x35\0\0\0\x07");
        a.extend("fe80::1".parse::<Ipv6Addr>().unwrap().octets());
        a.extend(99u32.to_ne_bytes());
        assert_eq!(
            print(&a),
            r#"{sa_family=AF_INET6, sin6_port=htons(53), sin6_flowinfo=htonl(7), inet_pton(AF_INET6, "fe80::1", &sin6_addr), sin6_scope_id=99}"#
        );
        for (address, printed) in
            [("::ffff:1.2.3.4", "::ffff:1.2.3.4"), ("::1.2.3.4", "::1.2.3.4"), ("::", "::"), ("::1", "::1")]
        {
            a[8..24].copy_from_slice(&address.parse::<Ipv6Addr>().unwrap().octets());
            assert!(print(&a).contains(&format!("\"{printed}\"")), "{}", print(&a));
        }
        assert!(print(&a[..24]).ends_with("&sin6_addr)}"));
        assert!(print(&a[..20]).contains("sa_data="));
    }

    #[test]
    fn unix_addresses() {
        assert_eq!(print(&with_family(AF_UNIX, b"")), "{sa_family=AF_UNIX}");
        assert_eq!(print(&with_family(AF_UNIX, b"a/b\0junk")), r#"{sa_family=AF_UNIX, sun_path="a/b"}"#);
        assert_eq!(print(&with_family(AF_UNIX, b"/x/a\nb")), r#"{sa_family=AF_UNIX, sun_path="/x/a\nb"}"#);
        assert_eq!(print(&with_family(AF_UNIX, b"\0")), r#"{sa_family=AF_UNIX, sun_path=@""}"#);
        assert_eq!(
            print(&with_family(AF_UNIX, b"\0abstract\0x")),
            r#"{sa_family=AF_UNIX, sun_path=@"abstract\0x"}"#
        );
        let long = print(&with_family(AF_UNIX, &[b'x'; 120]));
        assert_eq!(long.matches('x').count(), UNIX_PATH_MAX);
    }

    #[test]
    fn other_addresses() {
        assert_eq!(print(&with_family(0, b"")), "{sa_family=AF_UNSPEC}");
        assert_eq!(print(&with_family(0, b"ab\x1b")), r#"{sa_family=AF_UNSPEC, sa_data="ab\33"}"#);
        assert_eq!(print(&with_family(99, b"abc")), r#"{sa_family=0x63 /* AF_??? */, sa_data="abc"}"#);
        assert_eq!(
            print(&with_family(
                AF_NETLINK,
                &[&[0; 2][..], &77u32.to_ne_bytes(), &3u32.to_ne_bytes()].concat()
            )),
            "{sa_family=AF_NETLINK, nl_pid=77, nl_groups=0x000003}"
        );
        assert_eq!(
            print(&with_family(AF_NETLINK, &[&5u16.to_ne_bytes()[..], &[0; 8]].concat())),
            "{sa_family=AF_NETLINK, nl_pad=0x5, nl_pid=0, nl_groups=00000000}"
        );
        let ll = |protocol: u16, hatype: u16, pkttype: u8, halen: u8| {
            let mut a = with_family(AF_PACKET, &protocol.to_be_bytes());
            a.extend(0i32.to_ne_bytes());
            a.extend(hatype.to_ne_bytes());
            a.extend([pkttype, halen]);
            a.extend(b"abcdefgh");
            print(&a)
        };
        assert_eq!(
            ll(3, 1, 4, 6),
            "{sa_family=AF_PACKET, sll_protocol=htons(ETH_P_ALL), sll_ifindex=0, sll_hatype=ARPHRD_ETHER, sll_pkttype=PACKET_OUTGOING, sll_halen=6, sll_addr=[0x61, 0x62, 0x63, 0x64, 0x65, 0x66]}"
        );
        assert_eq!(
            ll(0x1111, 9, 9, 20),
            "{sa_family=AF_PACKET, sll_protocol=htons(0x1111 /* ETH_P_??? */), sll_ifindex=0, sll_hatype=0x9 /* ARPHRD_??? */, sll_pkttype=0x9 /* PACKET_??? */, sll_halen=20, sll_addr=[0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, ...]}"
        );
        assert_eq!(
            print(&with_family(
                AF_VSOCK,
                &[&[0; 2][..], &1234u32.to_ne_bytes(), &3u32.to_ne_bytes(), &[0; 4]].concat()
            )),
            "{sa_family=AF_VSOCK, svm_cid=0x3, svm_port=0x4d2, svm_flags=0}"
        );
    }
}
