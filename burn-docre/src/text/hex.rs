//! Hexadecimal output of hashes.

use std::fmt;

/// Writes `bytes` in lower-case hexadecimal.
///
/// # Errors
/// If `f` reports an error.
pub fn write_hex(f: &mut impl fmt::Write, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}
