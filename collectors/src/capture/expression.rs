use std::ffi::c_uint;

use pcap::{BpfProgram, Linktype, Precision};

use super::error::{CaptureError, message};

/// A compiled tcpdump expression, evaluated in user space: the kernel's one filter slot holds the flow filter.
pub struct Expression {
    text: String,
    program: BpfProgram,
}

/// Offsets from here on are not in the packet but ask Linux for metadata (`SKF_AD_OFF`, include/uapi/linux/filter.h).
const SKF_AD_OFF: u32 = -0x1000_i32 as u32;

/// `BPF_LD` and `BPF_LDX` are classes 0 and 1.
const BPF_CLASS: u16 = 0x07;

impl Expression {
    /// Compiles `text` for frames of `link`.
    ///
    /// # Errors
    /// [`CaptureError::Expression`] with libpcap's words.
    pub fn compile(text: &str, link: Linktype) -> Result<Self, CaptureError> {
        let remedy = "'inbound' and 'outbound' can only be told on the interface 'any'; leave -i away";
        Self::compile_or(text, link, remedy)
    }

    /// Compiles, or says `no_metadata` where the expression asks for more than is in a packet.
    pub(super) fn compile_or(text: &str, link: Linktype, no_metadata: &str) -> Result<Self, CaptureError> {
        let wrong = |message: String| CaptureError::Expression { expression: text.to_owned(), message };
        // Not compiled on the live handle: that would make use of metadata which only the kernel has (VLAN
        // tags), while libpcap puts the tags back into the frames it hands out.
        let compiler =
            pcap::Capture::dead_with_precision(link, Precision::Nano).map_err(|e| wrong(message(&e)))?;
        let program = compiler.compile(text, true).map_err(|e| wrong(message(&e)))?;
        let this = Self { text: text.to_owned(), program };
        if this.wants_metadata() {
            return Err(wrong(no_metadata.to_owned()));
        }
        Ok(this)
    }

    /// As the user wrote it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// True where the frame (`captured` of its `wire_len` bytes) passes.
    pub fn matches(&self, captured: &[u8], wire_len: u32) -> bool {
        let Ok(len) = c_uint::try_from(captured.len()) else { return false };
        // SAFETY: libpcap compiled and owns the instructions, which end in a return; the interpreter checks every
        // load against the captured length. (The binding's own `filter` takes the captured length for the wire
        // length, which is wrong for 'greater 1000' on a cut frame.)
        unsafe {
            bpf_filter(self.program.get_instructions().as_ptr().cast(), captured.as_ptr(), wire_len, len) != 0
        }
    }

    fn wants_metadata(&self) -> bool {
        let instructions = self.program.get_instructions();
        // SAFETY: the binding's instruction is a transparent wrapper of libpcap's `struct bpf_insn`, whose layout
        // is `Instruction`'s.
        let raw = unsafe {
            std::slice::from_raw_parts(instructions.as_ptr().cast::<Instruction>(), instructions.len())
        };
        raw.iter().any(|i| i.code & BPF_CLASS <= 1 && i.k >= SKF_AD_OFF)
    }
}

/// `struct bpf_insn` of pcap/bpf.h.
#[repr(C)]
struct Instruction {
    code: u16,
    jt: u8,
    jf: u8,
    k: u32,
}

#[link(name = "pcap")]
unsafe extern "C" {
    fn bpf_filter(
        program: *const Instruction,
        packet: *const u8,
        wire_len: c_uint,
        captured: c_uint,
    ) -> c_uint;
}
