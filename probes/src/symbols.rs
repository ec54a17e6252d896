//! What the running kernel says about itself: enum names and tracepoint prototypes (BTF), function names (kallsyms).

use std::fs;
use std::sync::{Arc, Mutex, PoisonError};

use rustc_hash::FxHashMap;

/// Where the kernel exports its types.
pub(crate) const VMLINUX_BTF: &str = "/sys/kernel/btf/vmlinux";

const KIND_PTR: u32 = 2;
const KIND_ARRAY: u32 = 3;
const KIND_STRUCT: u32 = 4;
const KIND_UNION: u32 = 5;
const KIND_ENUM: u32 = 6;
const KIND_TYPEDEF: u32 = 8;
const KIND_FUNC_PROTO: u32 = 13;
const KIND_VAR: u32 = 14;
const KIND_DATASEC: u32 = 15;
const KIND_DECL_TAG: u32 = 17;
const KIND_ENUM64: u32 = 19;
const KIND_INT: u32 = 1;

/// The few things that are wanted of vmlinux's BTF.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct KernelTypes {
    /// `enum skb_drop_reason`, prefix stripped.
    pub(crate) drop_reasons: FxHashMap<u32, Arc<str>>,
    /// `enum sk_rst_reason`, prefix stripped.
    pub(crate) reset_reasons: FxHashMap<u32, Arc<str>>,
    /// Parameters of `btf_trace_kfree_skb`, the context included.
    pub(crate) kfree_skb_params: usize,
    /// Parameters of `btf_trace_tcp_send_reset`.
    pub(crate) send_reset_params: usize,
}

fn u32_at(data: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(data.get(at..at + 4)?.try_into().ok()?))
}

/// A type of BTF: its name, kind, number of members, size or referenced type, and the members' bytes.
struct BtfType<'a> {
    name: &'a str,
    kind: u32,
    vlen: u32,
    size_or_type: u32,
    members: &'a [u8],
}

/// A NUL-terminated name of BTF's string section.
fn name_at(strings: &[u8], off: u32) -> Option<&str> {
    let s = strings.get(off as usize..)?;
    std::str::from_utf8(s.get(..s.iter().position(|b| *b == 0)?)?).ok()
}

/// Hands every type, numbered from 1, and the string section to `f`. `None` where it is not BTF or is cut short.
fn each_type<'a>(data: &'a [u8], mut f: impl FnMut(BtfType<'a>, &'a [u8]) -> Option<()>) -> Option<()> {
    if data.get(..2)? != 0xeb9f_u16.to_ne_bytes() {
        return None;
    }
    let header = u32_at(data, 4)? as usize;
    let (type_off, type_len) = (u32_at(data, 8)? as usize, u32_at(data, 12)? as usize);
    let (str_off, str_len) = (u32_at(data, 16)? as usize, u32_at(data, 20)? as usize);
    let mut types = data.get(header.checked_add(type_off)?..)?.get(..type_len)?;
    let strings = data.get(header.checked_add(str_off)?..)?.get(..str_len)?;
    while !types.is_empty() {
        let info = u32_at(types, 4)?;
        let (kind, vlen) = (info >> 24 & 0x1f, info & 0xffff);
        let each = match kind {
            KIND_STRUCT | KIND_UNION | KIND_DATASEC | KIND_ENUM64 => 12,
            KIND_ENUM | KIND_FUNC_PROTO => 8,
            _ => 0,
        };
        let fixed = match kind {
            KIND_INT | KIND_VAR | KIND_DECL_TAG => 4,
            KIND_ARRAY => 12,
            _ => 0,
        };
        let members = types.get(12..12 + each * vlen as usize + fixed)?;
        let name = name_at(strings, u32_at(types, 0)?)?;
        f(BtfType { name, kind, vlen, size_or_type: u32_at(types, 8)?, members }, strings)?;
        types = types.get(12 + members.len()..)?;
    }
    Some(())
}

/// Reads vmlinux's BTF (Documentation/bpf/btf.rst).
pub(crate) fn parse_btf(data: &[u8]) -> Option<KernelTypes> {
    let mut out = KernelTypes::default();
    // (kind, referenced type or number of parameters), to follow typedef -> pointer -> prototype.
    let mut kinds: Vec<(u32, u32)> = vec![(0, 0)];
    let mut traces: Vec<(bool, u32)> = Vec::new();
    each_type(data, |t, strings| {
        match t.kind {
            KIND_ENUM => {
                let table = match t.name {
                    "skb_drop_reason" => Some((&mut out.drop_reasons, ["SKB_DROP_REASON_", "SKB_"])),
                    "sk_rst_reason" => Some((&mut out.reset_reasons, ["SK_RST_REASON_", "SK_"])),
                    _ => None,
                };
                if let Some((table, prefixes)) = table {
                    for member in t.members.chunks_exact(8) {
                        let (name, value) = (name_at(strings, u32_at(member, 0)?)?, u32_at(member, 4)?);
                        let name = prefixes.iter().find_map(|p| name.strip_prefix(p)).unwrap_or(name);
                        table.insert(value, name.into());
                    }
                }
            }
            KIND_TYPEDEF => match t.name {
                "btf_trace_kfree_skb" => traces.push((true, t.size_or_type)),
                "btf_trace_tcp_send_reset" => traces.push((false, t.size_or_type)),
                _ => {}
            },
            _ => {}
        }
        kinds.push((t.kind, if t.kind == KIND_FUNC_PROTO { t.vlen } else { t.size_or_type }));
        Some(())
    })?;
    for (is_kfree, pointer) in traces {
        let Some((KIND_PTR, proto)) = kinds.get(pointer as usize).copied() else { continue };
        let Some((KIND_FUNC_PROTO, params)) = kinds.get(proto as usize).copied() else { continue };
        if is_kfree {
            out.kfree_skb_params = params as usize;
        } else {
            out.send_reset_params = params as usize;
        }
    }
    Some(out)
}

/// Kernel functions by address.
#[derive(Debug, Default)]
pub(crate) struct Symbols {
    // Start address, and where the name begins in `names`; sorted by address.
    starts: Vec<(u64, u32)>,
    names: String,
}

impl Symbols {
    /// From `/proc/kallsyms`. Where the kernel hides its addresses (kptr_restrict), what was read when it did not: a
    /// process may give up the right to see them. Else empty.
    pub(crate) fn load() -> Arc<Self> {
        static SEEN: Mutex<Option<Arc<Symbols>>> = Mutex::new(None);
        let now = fs::read_to_string("/proc/kallsyms").map(|text| Self::parse(&text)).unwrap_or_default();
        let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
        if now.starts.is_empty() {
            return seen.clone().unwrap_or_default();
        }
        Arc::clone(seen.insert(Arc::new(now)))
    }

    fn parse(text: &str) -> Self {
        let mut rows: Vec<(u64, &str)> = text
            .lines()
            .filter_map(|line| {
                let mut words = line.split_ascii_whitespace();
                let (address, kind, name) = (words.next()?, words.next()?, words.next()?);
                if !matches!(kind, "t" | "T" | "w" | "W") {
                    return None;
                }
                Some((u64::from_str_radix(address, 16).ok()?, name))
            })
            .filter(|(address, _)| *address != 0)
            .collect();
        rows.sort_by_key(|r| r.0);
        rows.dedup_by_key(|r| r.0);
        let mut out = Self::default();
        for (address, name) in rows {
            let Ok(at) = u32::try_from(out.names.len()) else { break };
            // The compiler's clones (.isra.0, .part.0, .cold) are the function for the reader.
            out.names.push_str(name.split('.').next().unwrap_or(name));
            out.names.push('\n');
            out.starts.push((address, at));
        }
        out
    }

    fn name_at(&self, at: u32) -> &str {
        self.names.get(at as usize..).and_then(|s| s.lines().next()).unwrap_or("")
    }

    /// The function that contains `address`.
    pub(crate) fn name(&self, address: u64) -> Option<&str> {
        let i = self.starts.partition_point(|s| s.0 <= address).checked_sub(1)?;
        Some(self.name_at(self.starts.get(i)?.1))
    }

    /// Address ranges of the functions with these names, clones included.
    pub(crate) fn ranges(&self, names: &[&str]) -> Vec<(u64, u64)> {
        self.starts
            .iter()
            .enumerate()
            .filter(|(_, (_, at))| names.contains(&self.name_at(*at)))
            .map(|(i, (start, _))| (*start, self.starts.get(i + 1).map_or(u64::MAX, |next| next.0)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_inside_a_function_has_its_name() {
        let s = Symbols::parse(
            "ffffffff81000300 T tcp_v4_rcv\nffffffff81000100 t nf_hook_slow.cold\nffffffff81000200 D data\n\
             ffffffff81000200 t ip_rcv.part.0\t[mod]\n0000000000000000 T hidden\n",
        );
        assert_eq!(s.name(0xffffffff81000150), Some("nf_hook_slow"));
        assert_eq!(s.name(0xffffffff81000200), Some("ip_rcv"));
        assert_eq!(s.name(0xffffffff81000fff), Some("tcp_v4_rcv"));
        assert_eq!(s.name(5), None);
        assert_eq!(s.ranges(&["ip_rcv"]), [(0xffffffff81000200, 0xffffffff81000300)]);
    }

    #[test]
    fn the_running_kernels_reasons_are_read() {
        let Ok(data) = fs::read(VMLINUX_BTF) else {
            eprintln!("skipped: no {VMLINUX_BTF}");
            return;
        };
        let types = parse_btf(&data).expect("valid BTF");
        assert!(types.drop_reasons.values().any(|n| &**n == "NETFILTER_DROP"), "{types:?}");
        assert!(types.kfree_skb_params >= 3, "{types:?}");
    }

    /// A struct's size, and its fields' offsets in bytes.
    type Layout = (usize, Vec<(String, usize)>);

    fn layouts_of(btf: &[u8]) -> FxHashMap<String, Layout> {
        let mut out = FxHashMap::default();
        each_type(btf, |t, strings| {
            if t.kind == KIND_STRUCT {
                let fields = t
                    .members
                    .chunks_exact(12)
                    .map(|m| {
                        let bits = u32_at(m, 8).unwrap() & 0xff_ffff;
                        (name_at(strings, u32_at(m, 0).unwrap()).unwrap().to_owned(), bits as usize / 8)
                    })
                    .collect();
                out.insert(t.name.to_owned(), (t.size_or_type as usize, fields));
            }
            Some(())
        })
        .unwrap();
        out
    }

    #[test]
    fn both_sides_lay_out_every_record_alike() {
        let object = aya_obj::Object::parse(crate::load::OBJECT).unwrap();
        let c = layouts_of(&object.btf.unwrap().to_bytes());
        for (name, size, fields) in crate::abi::layouts() {
            let (c_size, c_fields) = c.get(name).unwrap_or_else(|| panic!("no struct {name} in the object"));
            assert_eq!(*c_size, size, "size of {name}");
            let fields: Vec<_> = fields.into_iter().map(|(f, at)| (f.to_owned(), at)).collect();
            assert_eq!(*c_fields, fields, "fields of {name}");
        }
    }

    #[test]
    fn garbage_is_no_btf() {
        assert_eq!(parse_btf(&[]), None);
        assert_eq!(parse_btf(&[0x9f, 0xeb, 1, 0, 24, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255]), None);
    }
}
