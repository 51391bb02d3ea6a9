//! Stable anchors of documents.

use std::collections::{BTreeMap, BTreeSet};

use burn_docre::text::hex::write_hex;
use sha2::{Digest, Sha256};

/// The maximum length of the readable part.
const MAX_SLUG: usize = 40;
/// The length of the hash in bytes.
const HASH: usize = 4;

/// The anchor of a document: `doc-`, its title in lower case, and a hash of the title.
///
/// It depends on the title only, so a link stays valid when other documents of the corpus change.
pub(super) fn anchor(title: &str) -> String {
    let mut anchor = format!("doc-{}", slug(title));
    if !anchor.ends_with('-') {
        anchor.push('-');
    }
    let digest = Sha256::digest(title.as_bytes());
    write_hex(&mut anchor, &digest[..HASH]).expect("a string takes every text");
    anchor
}

/// The anchors of documents with these titles, all different. Of documents with one title, the
/// second has the suffix `-2`, and so on.
pub(super) fn anchors<'a>(titles: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut taken = BTreeSet::new();
    let mut counts = BTreeMap::new();
    let unique = |title| {
        let anchor = anchor(title);
        let count: &mut usize = counts.entry(anchor.clone()).or_default();
        loop {
            *count += 1;
            let name = if *count == 1 { anchor.clone() } else { format!("{anchor}-{count}") };
            if taken.insert(name.clone()) {
                return name;
            }
        }
    };
    titles.map(unique).collect()
}

/// The letters and digits of `title` in lower case, with one `-` between words. Other characters
/// than those of ASCII are dropped.
fn slug(title: &str) -> String {
    let mut slug = String::new();
    for c in title.chars() {
        if slug.len() == MAX_SLUG {
            break;
        }
        if c.is_ascii_alphanumeric() {
            slug.push(c.to_ascii_lowercase());
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    slug.trim_end_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_anchor_has_the_words_of_the_title_and_the_start_of_its_hash() {
        // printf 'Niinistö II, 2018!' | sha256sum
        assert_eq!(anchor("Niinistö II, 2018!"), "doc-niinist-ii-2018-159aee62");
        // printf '東京' | sha256sum
        assert_eq!(anchor("東京"), "doc-130016b2");
        assert_eq!(anchor(&"a b".repeat(50)).len(), "doc-".len() + MAX_SLUG + 1 + 2 * HASH);
    }

    #[test]
    fn anchors_do_not_depend_on_the_order_or_on_other_documents() {
        let of = |titles: &[&str]| anchors(titles.iter().copied());
        let (one, other) = (of(&["Anna", "Oslo", "a.b"]), of(&["a.b", "New", "Oslo", "Anna"]));
        assert_eq!(one, [&*other[3], &*other[2], &*other[0]]);
    }

    #[test]
    fn titles_with_equal_words_have_different_anchors_and_repeated_titles_are_numbered() {
        assert_ne!(anchor("a b"), anchor("A b"));
        let found = anchors(["x", "x", "y", "x"].into_iter());
        let x = anchor("x");
        assert_eq!(found, [x.clone(), format!("{x}-2"), anchor("y"), format!("{x}-3")]);
    }

    #[test]
    fn a_hostile_title_gives_a_plain_anchor() {
        let anchor = anchor("\"><script>alert('x')</script>&#38;\u{202e}");
        assert!(anchor.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'), "{anchor}");
    }
}
