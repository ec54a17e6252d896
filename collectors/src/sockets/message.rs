//! Netlink messages (netlink(7)) and what is inside of those of sock_diag(7).

/// Bytes that the kernel laid out as a struct. What lies beyond its end is 0: an older kernel's struct is shorter.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields<'a>(pub &'a [u8]);

impl<'a> Fields<'a> {
    fn array<const N: usize>(self, at: usize) -> [u8; N] {
        self.0.get(at..at + N).and_then(|b| b.try_into().ok()).unwrap_or([0; N])
    }

    pub fn u8(self, at: usize) -> u8 {
        u8::from_ne_bytes(self.array(at))
    }

    pub fn u16(self, at: usize) -> u16 {
        u16::from_ne_bytes(self.array(at))
    }

    /// In network byte order.
    pub fn be16(self, at: usize) -> u16 {
        u16::from_be_bytes(self.array(at))
    }

    pub fn u32(self, at: usize) -> u32 {
        u32::from_ne_bytes(self.array(at))
    }

    pub fn u64(self, at: usize) -> u64 {
        u64::from_ne_bytes(self.array(at))
    }

    /// A cookie in two halves, the lower first (net/core/sock_diag.c, sock_diag_save_cookie).
    pub fn cookie(self, at: usize) -> u64 {
        u64::from(self.u32(at + 4)) << 32 | u64::from(self.u32(at))
    }

    pub fn bytes<const N: usize>(self, at: usize) -> [u8; N] {
        self.array(at)
    }

    /// Attributes behind a struct of `size` bytes.
    pub fn attributes(self, size: usize) -> Attributes<'a> {
        Attributes(self.0.get(size..).unwrap_or(&[]))
    }
}

/// Attributes (`struct nlattr`): type and payload.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attributes<'a>(&'a [u8]);

impl<'a> Attributes<'a> {
    pub fn of(payload: &'a [u8]) -> Self {
        Self(payload)
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, Fields<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        const HEADER: usize = 4;
        /// Without the flags for nested attributes and byte order.
        const TYPE: u16 = 0x3fff;
        let head = Fields(self.0);
        let len = usize::from(head.u16(0));
        let payload = self.0.get(HEADER..len)?;
        self.0 = self.0.get(aligned(len)..).unwrap_or(&[]);
        Some((head.u16(2) & TYPE, Fields(payload)))
    }
}

/// Messages of one datagram (`struct nlmsghdr`).
pub(super) struct Messages<'a>(pub &'a [u8]);

/// A message's type and payload.
pub(super) struct Message<'a> {
    pub kind: u16,
    pub payload: &'a [u8],
}

impl<'a> Iterator for Messages<'a> {
    type Item = Message<'a>;

    fn next(&mut self) -> Option<Message<'a>> {
        const HEADER: usize = 16;
        let head = Fields(self.0);
        let len = usize::try_from(head.u32(0)).ok()?;
        let payload = self.0.get(HEADER..len)?;
        self.0 = self.0.get(aligned(len)..).unwrap_or(&[]);
        Some(Message { kind: head.u16(4), payload })
    }
}

/// `NLMSG_ALIGN` and `NLA_ALIGN`.
fn aligned(len: usize) -> usize {
    len.next_multiple_of(4)
}
