//! A seeded mutator of files: bytes of any format, and the values of JSON.

use rand::{Rng, SeedableRng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;
use serde_json::{Number, Value, json};

/// Texts that readers treat specially.
const TOKENS: [&[u8]; 18] = [
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b",",
    b":",
    b"null",
    b"-1",
    b"0",
    b"1e999",
    b"NaN",
    b"\n",
    b"\xff",
    b"\xef\xbb\xbf",
    b"18446744073709551615",
    b"\\u0000",
    b"=",
];
/// The most bytes that are inserted or removed at once.
const LONGEST: usize = 64;
/// The most mutations of one input.
const MOST: usize = 4;
/// The depth of nested lists, which exceeds the limit of JSON parsers (128 in `serde_json`).
const DEPTH: usize = 400;

/// Draws mutated inputs. Equal seeds of the generator draw equal inputs.
pub(crate) struct Mutator(ChaCha8Rng);

impl Mutator {
    pub(crate) fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// Mutates one of the inputs `seeds`, one to [`MOST`] times.
    pub(crate) fn mutate(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = seeds.choose(&mut self.0).expect("a seed").clone();
        for _ in 0..self.0.random_range(1..=MOST) {
            let is_structural = self.0.random_bool(0.6);
            bytes = match is_structural.then(|| self.mutate_json(&bytes)).flatten() {
                Some(mutated) => mutated,
                None => self.mutate_bytes(bytes, seeds),
            };
        }
        bytes
    }

    /// Mutates a value in JSON, or in the header of a safetensors file; `None` for other inputs.
    fn mutate_json(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        if let Ok(mut value) = serde_json::from_slice(bytes) {
            self.mutate_value(&mut value);
            return Some(self.written(&value));
        }
        let (length, rest) = bytes.split_first_chunk::<8>()?;
        let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
        let (header, tensors) = rest.split_at_checked(length)?;
        let mut value = serde_json::from_slice(header).ok()?;
        self.mutate_value(&mut value);
        let header = self.written(&value);
        Some([&(header.len() as u64).to_le_bytes()[..], &header, tensors].concat())
    }

    /// The text of a value, rarely with one list nested deeply.
    fn written(&mut self, value: &Value) -> Vec<u8> {
        let text = value.to_string();
        if self.0.random_bool(0.98) {
            return text.into();
        }
        let nested = "[".repeat(DEPTH) + &"]".repeat(DEPTH);
        text.replacen("null", &nested, 1).replacen(":0", &format!(":{nested}"), 1).into()
    }

    /// Changes one value below `value`, or `value` itself.
    fn mutate_value(&mut self, value: &mut Value) {
        let n_children = match value {
            Value::Array(items) => items.len(),
            Value::Object(map) => map.len(),
            _ => 0,
        };
        if n_children > 0 && self.0.random_bool(0.85) {
            let index = self.0.random_range(0..n_children);
            return match value {
                Value::Array(items) => self.mutate_value(&mut items[index]),
                Value::Object(map) => self.mutate_value(map.values_mut().nth(index).expect("one")),
                _ => {}
            };
        }
        match (self.0.random_range(0..4), &mut *value) {
            (0, Value::Array(items)) if !items.is_empty() => {
                let index = self.0.random_range(0..items.len());
                items.remove(index);
            }
            (1, Value::Array(items)) if !items.is_empty() => {
                let item = items.choose(&mut self.0).expect("an item").clone();
                items.push(item);
            }
            (0, Value::Object(map)) if !map.is_empty() => {
                let key = map.keys().nth(self.0.random_range(0..map.len())).expect("one").clone();
                map.remove(&key);
            }
            (1, Value::Object(map)) if !map.is_empty() => {
                let key = map.keys().nth(self.0.random_range(0..map.len())).expect("one").clone();
                let taken = map.remove(&key).expect("the value");
                map.insert(key + "x", taken);
            }
            _ => *value = self.replacement(value),
        }
    }

    /// A value in place of `value`.
    fn replacement(&mut self, value: &Value) -> Value {
        if let (Some(number), true) = (value.as_f64(), self.0.random_bool(0.5)) {
            let near = [number + 1.0, number - 1.0, -number, number * 1e6, number / 3.0];
            let near = *near.choose(&mut self.0).expect("a number");
            return if near.fract() == 0.0 && near.abs() < 1e15 {
                json!(near as i64)
            } else {
                Number::from_f64(near).map_or(Value::Null, Value::Number)
            };
        }
        let values = [
            Value::Null,
            json!(true),
            json!(0),
            json!(-1),
            json!(1),
            json!(u64::MAX),
            json!(i64::MIN),
            json!(1_u64 << 32),
            json!(1 << 20),
            json!(1e308),
            json!(-1.5),
            json!(""),
            json!("\u{0}"),
            json!("*"),
            json!("P551"),
            json!("ß\u{202e}😀"),
            json!("x".repeat(2000)),
            json!([]),
            json!({}),
            json!([[]]),
            json!([0, 0]),
            json!({ "kind": 1 }),
        ];
        values.choose(&mut self.0).expect("a value").clone()
    }

    fn mutate_bytes(&mut self, mut bytes: Vec<u8>, seeds: &[Vec<u8>]) -> Vec<u8> {
        let at = self.0.random_range(0..=bytes.len());
        let end = at + self.0.random_range(0..=LONGEST.min(bytes.len() - at));
        match self.0.random_range(0..8) {
            0 if at < bytes.len() => bytes[at] ^= 1 << self.0.random_range(0..8),
            1 if at < bytes.len() => bytes[at] = self.0.random(),
            2 => bytes.truncate(at),
            3 => drop(bytes.drain(at..end)),
            4 => {
                let piece = bytes[at..end].to_vec();
                let to = self.0.random_range(0..=bytes.len());
                bytes.splice(to..to, piece);
            }
            5 => {
                let other = seeds.choose(&mut self.0).expect("a seed");
                let from = self.0.random_range(0..=other.len());
                let until = from + self.0.random_range(0..=LONGEST.min(other.len() - from));
                bytes.splice(at..end, other[from..until].iter().copied());
            }
            6 => {
                // A number of eight bytes, as lengths and offsets are.
                let numbers = [0, 1, u64::MAX, 1 << 31, 1 << 40, i64::MAX as u64];
                let number = numbers.choose(&mut self.0).expect("a number").to_le_bytes();
                let end = (at + 8).min(bytes.len());
                bytes.splice(at..end, number);
            }
            _ => {
                let token = TOKENS.choose(&mut self.0).expect("a token");
                bytes.splice(at..end.min(at + token.len()), token.iter().copied());
            }
        }
        bytes
    }
}
