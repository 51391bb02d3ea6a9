//! The check of a model's map of characters, `precompiled_charsmap`.
//!
//! The map is the length of a trie in bytes, the trie, and the replacements, each with a zero byte
//! at its end. The crate `spm_precompiled` reads it without a check of its bounds.
//!
//! The trie is a double array of `darts-clone`, an array of units of 32 bits:
//!
//! | bits | content |
//! |---|---|
//! | 0 to 7 | the label |
//! | 8 | 1 if the node has a value |
//! | 9 | 1 if the offset is multiplied by 256 |
//! | 10 to 30 | the offset of the children |
//! | 31 | 1 if the unit is a value; all other bits are then the value |

use crate::error::Cause;

/// The bit of a unit whose node has a value, the position of its replacement.
const HAS_VALUE: u32 = 1 << 8;
/// The bits that are compared with a byte of the text. With bit 31, no value equals a byte.
const LABEL: u32 = 1 << 31 | 0xFF;
/// The maximum length of a replacement in bytes. The longest one of NFKC has 33 bytes.
const MAX_REPLACEMENT: usize = 256;

/// Checks that every search in `map` stays in bounds, and that no replacement is long.
///
/// # Errors
/// If the map is cut off, or its replacements are not UTF-8. If it refers to something outside of
/// it, or has a replacement that is too long.
pub(in crate::text) fn check(map: &[u8]) -> Result<(), Cause> {
    let (length, rest) = map.split_first_chunk::<4>().ok_or("its map of characters is cut off")?;
    let length = u32::from_le_bytes(*length) as usize;
    let (trie, replacements) =
        rest.split_at_checked(length).ok_or("its map of characters is cut off")?;
    let replacements = std::str::from_utf8(replacements)?;
    let (units, remainder) = trie.as_chunks::<4>();
    if !remainder.is_empty() {
        return Err("the trie of its map of characters is cut off".into());
    }
    let units: Vec<u32> = units.iter().map(|unit| u32::from_le_bytes(*unit)).collect();
    check_trie(&units, replacements)
}

/// Visits all nodes. A node is represented by the base of its children. The child of a byte is the
/// unit at `base ^ byte`, and the value is the unit at `base`.
fn check_trie(units: &[u32], replacements: &str) -> Result<(), Cause> {
    let outside = "its map of characters refers to something outside of it";
    let root = units.first().ok_or("its map of characters is empty")?;
    let mut visited = vec![false; units.len()];
    let mut nodes = vec![offset(*root)];
    while let Some(base) = nodes.pop() {
        // All children lie in the block of 256 units around the base, which must exist as a whole.
        if base | 0xFF >= units.len() {
            return Err(outside.into());
        }
        if std::mem::replace(&mut visited[base], true) {
            continue;
        }
        for byte in 1..=0xFF {
            let at = base ^ byte;
            let unit = units[at];
            if unit & LABEL != byte as u32 {
                continue;
            }
            let child = at ^ offset(unit);
            if unit & HAS_VALUE != 0 {
                let value = *units.get(child).ok_or(outside)? & !(1 << 31);
                check_replacement(replacements, value as usize).ok_or(outside)?;
            }
            nodes.push(child);
        }
    }
    Ok(())
}

/// The offset of a unit's children, relative to its position.
fn offset(unit: u32) -> usize {
    let is_large = unit & (1 << 9) != 0;
    ((unit >> 10) as usize) << (if is_large { 8 } else { 0 })
}

/// Checks the replacement at `start`; `None` if it is outside of the texts or too long.
fn check_replacement(replacements: &str, start: usize) -> Option<()> {
    let rest = replacements.get(start..)?.as_bytes();
    let end = rest.iter().take(MAX_REPLACEMENT + 1).position(|byte| *byte == 0);
    let n = end.unwrap_or(rest.len());
    (n <= MAX_REPLACEMENT).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The label, offset and value flag of a unit.
    fn unit(label: u8, offset: u32, has_value: bool) -> u32 {
        u32::from(label) | offset << 10 | u32::from(has_value) << 8
    }

    /// A map that replaces the text `a` by the replacement at `value`.
    ///
    /// The root's children begin at 256. The child of `a` has its value at 512.
    fn map(value: u32, replacements: &str) -> Vec<u8> {
        let mut units = vec![0; 768];
        let a = 256 ^ b'a' as usize;
        units[0] = unit(0, 256, false);
        units[a] = unit(b'a', a as u32 ^ 512, true);
        units[512] = 1 << 31 | value;
        encoded(&units, replacements)
    }

    fn encoded(units: &[u32], replacements: &str) -> Vec<u8> {
        let mut map = (4 * units.len() as u32).to_le_bytes().to_vec();
        map.extend(units.iter().flat_map(|unit| unit.to_le_bytes()));
        map.extend(replacements.as_bytes());
        map
    }

    #[test]
    fn a_valid_map_is_accepted_and_is_read_as_intended() {
        let map = map(3, "no\0yes\0");
        check(&map).unwrap();
        let normalizer = tokenizers::normalizers::Precompiled::from(&map).unwrap();
        assert_eq!(normalizer.normalize_string("bab"), "byesb");
    }

    #[test]
    fn a_map_that_is_cut_off_is_refused() {
        let whole = map(0, "x\0");
        for n in [0, 3, 4, 5, 100, whole.len() - 3] {
            assert!(check(&whole[..n]).is_err(), "{n}");
        }
        // The trie has 2 bytes more than whole units.
        assert!(check(&[&2u32.to_le_bytes()[..], &[0; 2]].concat()).is_err());
        assert!(check(&encoded(&[], "x\0")).is_err());
    }

    #[test]
    fn a_replacement_outside_the_map_inside_a_character_or_without_end_is_refused() {
        check(&map(2, "x\0")).unwrap();
        assert!(check(&map(3, "x\0")).is_err());
        assert!(check(&map(1, "é\0")).is_err());
        check(&map(0, &"x".repeat(MAX_REPLACEMENT))).unwrap();
        assert!(check(&map(0, &"x".repeat(MAX_REPLACEMENT + 1))).is_err());
    }

    #[test]
    fn a_node_outside_the_trie_is_refused_and_a_cycle_ends() {
        let mut units = vec![0; 256];
        units[0] = unit(0, 256, false);
        assert!(check(&encoded(&units, "")).is_err());
        // The child of every `a` is the root again.
        units[0] = unit(0, 0, false);
        units[b'a' as usize] = unit(b'a', u32::from(b'a'), false);
        check(&encoded(&units, "")).unwrap();
        units.truncate(200);
        assert!(check(&encoded(&units, "")).is_err());
    }
}
