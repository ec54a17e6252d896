//! Values that are checked while they are read, so that the message has the line and the column of the value.
//!
//! Lists and maps of strings are bounded here, because a YAML alias repeats a long string at the cost of a few
//! bytes.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess};

use crate::quantity::{Bytes, Percent, Time, parse_bytes, parse_duration, parse_percent};

/// Most entries of a list or map.
const MOST_ENTRIES: usize = 4096;
/// Most bytes of a list or map of strings.
const MOST_STRING_BYTES: usize = 64 << 10;

type FromNumber<T> = fn(u64) -> Result<T, String>;
type FromText<T> = fn(&str) -> Result<T, String>;

/// Reads a scalar by one of two functions; `None` where it can't be that.
struct Scalar<T> {
    expecting: &'static str,
    number: Option<FromNumber<T>>,
    text: Option<FromText<T>>,
}

impl<T> de::Visitor<'_> for Scalar<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expecting)
    }

    fn visit_u64<E: de::Error>(self, n: u64) -> Result<T, E> {
        match self.number {
            Some(read) => read(n).map_err(E::custom),
            None => Err(E::invalid_type(de::Unexpected::Unsigned(n), &self)),
        }
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        match self.text {
            Some(read) => read(text).map_err(E::custom),
            None => Err(E::invalid_type(de::Unexpected::Str(text), &self)),
        }
    }
}

fn in_range<T: PartialOrd + fmt::Display>(value: T, min: T, max: T) -> Result<T, String> {
    if (&min..=&max).contains(&&value) {
        Ok(value)
    } else {
        Err(format!("{value} is out of range: use {min} to {max}"))
    }
}

/// A whole number from `MIN` to `MAX`.
pub(crate) fn ranged<'de, D: Deserializer<'de>, const MIN: u32, const MAX: u32>(
    from: D,
) -> Result<u32, D::Error> {
    from.deserialize_any(Scalar {
        expecting: "a whole number",
        number: Some(|n| {
            let n = in_range(n, u64::from(MIN), u64::from(MAX))?;
            u32::try_from(n).map_err(|e| e.to_string())
        }),
        text: None,
    })
}

/// A share.
pub(crate) fn percent<'de, D: Deserializer<'de>>(from: D) -> Result<Percent, D::Error> {
    from.deserialize_any(Scalar {
        expecting: "a share with its percent sign, such as 1%",
        number: None,
        text: Some(|text| parse_percent(text).map_err(|e| e.to_string())),
    })
}

/// A size from `MIN` to `MAX` bytes.
pub(crate) fn bytes<'de, D: Deserializer<'de>, const MIN: u64, const MAX: u64>(
    from: D,
) -> Result<Bytes, D::Error> {
    from.deserialize_any(Scalar {
        expecting: "a size such as 64MiB",
        number: Some(|n| in_range(Bytes(n), Bytes(MIN), Bytes(MAX))),
        text: Some(|text| {
            let n = parse_bytes(text).map_err(|e| e.to_string())?;
            in_range(Bytes(n), Bytes(MIN), Bytes(MAX))
        }),
    })
}

/// A size that `BPF_MAP_TYPE_RINGBUF` takes: a power of two (kernel/bpf/ringbuf.c, `ringbuf_map_alloc`).
pub(crate) fn ring_bytes<'de, D: Deserializer<'de>>(from: D) -> Result<Bytes, D::Error> {
    fn check(n: u64) -> Result<Bytes, String> {
        let n = in_range(Bytes(n), Bytes(64 << 10), Bytes(1 << 30))?;
        if n.0.is_power_of_two() {
            Ok(n)
        } else {
            Err(format!("{n} is not a power of two: use {}", Bytes(n.0.next_power_of_two())))
        }
    }
    from.deserialize_any(Scalar {
        expecting: "a size such as 64MiB",
        number: Some(check),
        text: Some(|text| check(parse_bytes(text).map_err(|e| e.to_string())?)),
    })
}

/// A time from `MIN` to `MAX` milliseconds.
pub(crate) fn time<'de, D: Deserializer<'de>, const MIN: u64, const MAX: u64>(
    from: D,
) -> Result<Time, D::Error> {
    from.deserialize_any(Scalar {
        expecting: "a time with its unit, such as 500ms or 10s",
        number: None,
        text: Some(|text| {
            let t = parse_duration(text).map_err(|e| e.to_string())?;
            in_range(Time(t), Time(Duration::from_millis(MIN)), Time(Duration::from_millis(MAX)))
        }),
    })
}

/// A list of PIDs.
pub(crate) fn pids<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u32>, D::Error> {
    struct Pid;
    impl<'de> DeserializeSeed<'de> for Pid {
        type Value = u32;
        fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<u32, D::Error> {
            // PID_MAX_LIMIT of 64-bit kernels (include/linux/threads.h).
            ranged::<D, 1, 4_194_304>(from)
        }
    }
    list(from, "a list of PIDs", || Pid, |_| 4)
}

/// A list of strings.
pub(crate) fn strings<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    list(from, "a list of strings", || PhantomData::<String>, String::len)
}

fn list<'de, D: Deserializer<'de>, S: DeserializeSeed<'de>>(
    from: D,
    expecting: &'static str,
    seed: fn() -> S,
    size: fn(&S::Value) -> usize,
) -> Result<Vec<S::Value>, D::Error> {
    struct List<S, V> {
        expecting: &'static str,
        seed: fn() -> S,
        size: fn(&V) -> usize,
    }
    impl<'de, S: DeserializeSeed<'de>> de::Visitor<'de> for List<S, S::Value> {
        type Value = Vec<S::Value>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.expecting)
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Self::Value, A::Error> {
            let (mut all, mut bytes) = (Vec::new(), 0);
            while let Some(value) = from.next_element_seed((self.seed)())? {
                bytes += (self.size)(&value);
                all.push(value);
                bounded(all.len(), bytes)?;
            }
            Ok(all)
        }
    }
    from.deserialize_seq(List { expecting, seed, size })
}

/// A share from 0.5 to 1.
pub(crate) fn quantile<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    let share = <f64 as serde::Deserialize>::deserialize(from)?;
    in_range(share, 0.5, 1.0).map_err(de::Error::custom)
}

/// A map of strings.
pub(crate) fn string_map<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, String>, D::Error> {
    struct Map;
    impl<'de> de::Visitor<'de> for Map {
        type Value = BTreeMap<String, String>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a map of names and strings")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Self::Value, A::Error> {
            let (mut all, mut bytes) = (BTreeMap::new(), 0);
            while let Some((name, value)) = from.next_entry::<String, String>()? {
                bytes += name.len() + value.len();
                if all.contains_key(&name) {
                    return Err(de::Error::custom(format!("`{name}` is there twice")));
                }
                all.insert(name, value);
                bounded(all.len(), bytes)?;
            }
            Ok(all)
        }
    }
    from.deserialize_map(Map)
}

fn bounded<E: de::Error>(entries: usize, bytes: usize) -> Result<(), E> {
    if entries > MOST_ENTRIES || bytes > MOST_STRING_BYTES {
        return Err(E::custom(format!(
            "too long: at most {MOST_ENTRIES} entries and {}",
            Bytes(MOST_STRING_BYTES as u64)
        )));
    }
    Ok(())
}
