//! What the arguments of a syscall are: one description says what to read of them and how to print them.

use std::sync::LazyLock;

use super::call::Call;
use super::calls;
use super::plan::{CaptureKind, CaptureSpec, MAX_NR, spec};
use super::table;
use super::text::Names;

/// Prints a structure; `None` where it is cut short. What was written until then is taken back.
pub(super) type Print = fn(&mut Call<'_>, &[u8]) -> Option<()>;

/// An argument.
#[derive(Clone, Copy)]
pub(super) enum Arg {
    /// A descriptor.
    Fd,
    /// A directory's descriptor, or `AT_FDCWD`.
    Dirfd,
    /// `int`.
    Int,
    /// `unsigned int`.
    Uint,
    /// `long`, a signed offset.
    Long,
    /// `size_t`.
    Size,
    /// A number of 64 bits in hexadecimal.
    Hex,
    /// One of 32 bits.
    Hex32,
    /// An address that isn't followed.
    Ptr,
    /// User or group: -1 or an unsigned number.
    Id,
    /// File mode in octal.
    Mode,
    /// String that the call reads, a path: printed in full.
    Path,
    /// String that is no path: cut at the string limit.
    Str,
    /// A set of bits of 32, and what to say where none is known.
    Flags(Names, &'static str),
    /// One of several values of 32 bits, and what to say of others.
    OneOf(Names, &'static str),
    /// Bytes that the call reads: as many as that argument says.
    BufIn(u8),
    /// Bytes that the call wrote: as many as it returned.
    BufOut,
    /// Socket address that the call reads, of the length in that argument.
    Addr(u8),
    /// Structure of so many bytes that the call reads.
    In(u16, Print),
    /// Structure of so many bytes that the call has written where it didn't fail.
    Out(u16, Print),
    /// Not printed: the other half of the one before it, or there for alignment.
    Hidden,
    /// By itself.
    With(fn(&mut Call<'_>, usize)),
    /// By itself, and known only once the call has returned.
    Late(fn(&mut Call<'_>, usize)),
}

/// A result that is no failure.
#[derive(Clone, Copy)]
pub(super) enum Ret {
    /// Decimal.
    Dec,
    /// `%#lx`.
    Hex,
    /// A descriptor.
    Fd,
    /// By itself, all behind `= `.
    With(fn(&mut Call<'_>, i64)),
}

/// A syscall.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    pub(super) name: &'static str,
    pub(super) args: &'static [Arg],
    /// What is read beyond what the arguments say of themselves.
    pub(super) reads: &'static [CaptureSpec],
    pub(super) ret: Ret,
    /// How many arguments it has, where that depends on them.
    pub(super) count: Option<fn(&Call<'_>) -> usize>,
    /// What strace says behind the result.
    pub(super) tail: Option<fn(&mut Call<'_>)>,
}

/// A description without what most calls don't need.
pub(super) const fn call(name: &'static str, args: &'static [Arg]) -> Shape {
    Shape { name, args, reads: &[], ret: Ret::Dec, count: None, tail: None }
}

impl Shape {
    pub(super) const fn reads(self, reads: &'static [CaptureSpec]) -> Self {
        Self { reads, ..self }
    }

    pub(super) const fn ret(self, ret: Ret) -> Self {
        Self { ret, ..self }
    }

    pub(super) const fn count(self, count: fn(&Call<'_>) -> usize) -> Self {
        Self { count: Some(count), ..self }
    }

    pub(super) const fn tail(self, tail: fn(&mut Call<'_>)) -> Self {
        Self { tail: Some(tail), ..self }
    }

    /// Whether the result is a descriptor.
    pub(super) fn makes_fd(&self) -> bool {
        matches!(self.ret, Ret::Fd)
    }
}

impl Arg {
    /// By the letter of a signature.
    fn of_letter(letter: u8) -> Self {
        match letter {
            b'f' => Self::Fd,
            b'D' => Self::Dirfd,
            b'd' => Self::Int,
            b'l' => Self::Long,
            b'u' => Self::Size,
            b'i' => Self::Id,
            b'o' => Self::Mode,
            b's' => Self::Path,
            b'x' => Self::Hex,
            _ => Self::Ptr,
        }
    }

    /// What has to be read of argument `i` to print it.
    pub(super) fn read(self, i: u8) -> Option<CaptureSpec> {
        use CaptureKind as K;
        Some(match self {
            Self::Path | Self::Str => spec(i, K::CString, 0),
            Self::BufIn(len) => spec(i, K::BufferByArg, len as u16),
            Self::BufOut => spec(i, K::BufferByRet, 0),
            Self::Addr(len) => spec(i, K::Sockaddr, len as u16),
            Self::In(size, _) | Self::Out(size, _) => spec(i, K::Fixed, size),
            _ => return None,
        })
    }
}

/// The arguments of calls that nothing more is known of than their signature, by the signature's letters.
fn args_of(signature: &str) -> &'static [Arg] {
    signature.bytes().map(Arg::of_letter).collect::<Vec<_>>().leak()
}

static SHAPES: LazyLock<Vec<Option<Shape>>> = LazyLock::new(|| {
    let mut shapes = vec![None; MAX_NR as usize];
    for (nr, name, signature) in table::rows() {
        let known = calls::FAMILIES.iter().find_map(|family| family.iter().find(|c| c.name == *name));
        let shape = known.copied().unwrap_or_else(|| call(name, args_of(signature)));
        if let Some(slot) = shapes.get_mut(*nr as usize) {
            *slot = Some(shape);
        }
    }
    shapes
});

/// The description of a native syscall.
pub(super) fn shape(nr: u32) -> Option<&'static Shape> {
    SHAPES.get(nr as usize)?.as_ref()
}
