//! Real programs that are traced.
