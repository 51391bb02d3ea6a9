//! A reader of the pickles that `torch.save` writes. It builds a table of values and calls no code.
//!
//! A pickle with a class that is not in [`CLASSES`] is refused. An instruction adds at most one value
//! and one entry of the stack or the memo, and values are never copied. So the limits on the length
//! and on the number of instructions bound the memory to about 300 MB.

use std::{collections::HashMap, io::Read};

use super::super::layout::{Element, row_major};
use crate::error::Cause;

/// The maximum length of a pickle in bytes. Pickles of the largest encoders have less than 1 MB.
pub(super) const MAX_BYTES: u64 = 64 << 20;
/// The maximum number of instructions. A tensor takes fewer than 100, so encoders have less than a
/// tenth of it.
pub(super) const MAX_STEPS: usize = 1 << 21;
/// The maximum number of dimensions of a tensor.
const MAX_RANK: usize = 8;
/// The maximum length of a text, in bytes. A longer one becomes [`Value::Other`].
const MAX_TEXT: usize = 1024;
/// The maximum number of entries that are copied from lists of pairs into dictionaries.
pub(super) const MAX_PAIRS: usize = 1 << 20;

/// Index of a value in [`Pickle::values`].
pub(super) type Id = u32;

/// A value of a pickle.
#[derive(Clone, Debug)]
pub(super) enum Value {
    /// A value that no weight depends on.
    Other,
    Bool(bool),
    Int(i64),
    Text(String),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    Class(Class),
    Storage(Storage),
    Tensor(Box<Tensor>),
}

/// The kinds of the classes and functions that a pickle may name.
#[derive(Clone, Copy, Debug)]
pub(super) enum Class {
    OrderedDict,
    /// `(storage, offset, shape, strides, …)` → tensor.
    RebuildTensor,
    /// `(tensor, …)` → tensor.
    RebuildParameter,
    Size,
    Storage(&'static str),
    /// A class whose objects hold no weights.
    Other,
}

const CLASSES: &[(&str, &str, Class)] = &[
    ("collections", "OrderedDict", Class::OrderedDict),
    ("torch._utils", "_rebuild_tensor", Class::RebuildTensor),
    ("torch._utils", "_rebuild_tensor_v2", Class::RebuildTensor),
    ("torch._utils", "_rebuild_parameter", Class::RebuildParameter),
    ("torch", "Size", Class::Size),
    ("torch", "device", Class::Other),
    ("torch", "dtype", Class::Other),
    ("torch", "DoubleStorage", Class::Storage("F64")),
    ("torch", "FloatStorage", Class::Storage("F32")),
    ("torch", "HalfStorage", Class::Storage("F16")),
    ("torch", "BFloat16Storage", Class::Storage("BF16")),
    ("torch", "LongStorage", Class::Storage("I64")),
    ("torch", "IntStorage", Class::Storage("I32")),
    ("torch", "ShortStorage", Class::Storage("I16")),
    ("torch", "CharStorage", Class::Storage("I8")),
    ("torch", "ByteStorage", Class::Storage("U8")),
    ("torch", "BoolStorage", Class::Storage("BOOL")),
];

/// A storage: the values of one or more tensors.
#[derive(Clone, Copy, Debug)]
pub(super) struct Storage {
    /// The id of its name, a [`Value::Text`].
    pub(super) key: Id,
    /// The name of its values' type, as safetensors writes it.
    pub(super) dtype: &'static str,
    /// The number of values.
    pub(super) n_values: usize,
    /// The index of the first value in the storage of that name, for a view in the old format.
    pub(super) first: usize,
}

/// A tensor: a view of a storage.
#[derive(Clone, Debug)]
pub(super) struct Tensor {
    pub(super) storage: Storage,
    /// The index of the first value in the storage.
    pub(super) first: usize,
    pub(super) shape: Vec<usize>,
    pub(super) strides: Vec<usize>,
}

impl Storage {
    /// The size of a value in bytes.
    pub(super) fn value_size(&self) -> usize {
        match self.dtype {
            "F64" | "I64" => 8,
            "F32" | "I32" => 4,
            "F16" | "BF16" | "I16" => 2,
            _ => 1,
        }
    }

    /// The type of the values.
    pub(super) fn element(&self) -> Element {
        match self.dtype {
            "F64" => Element::F64,
            "F32" => Element::F32,
            "F16" => Element::F16,
            "BF16" => Element::Bf16,
            other => Element::Other(other.into()),
        }
    }
}

/// A pickle's values.
pub(super) struct Pickle {
    values: Vec<Value>,
    /// The value of the whole pickle.
    pub(super) root: Id,
}

impl Pickle {
    /// Reads one pickle from the start of `reader`, and no byte after it.
    ///
    /// # Errors
    /// If the pickle is cut off or exceeds the limits, names a class outside [`CLASSES`], or has an
    /// instruction that weight files do not need.
    pub(super) fn read(reader: &mut impl Read) -> Result<Self, Cause> {
        let mut machine = Machine {
            input: reader.take(MAX_BYTES),
            values: Vec::new(),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
            n_pairs: 0,
        };
        let mut n_steps = 0;
        while !machine.step()? {
            n_steps += 1;
            if n_steps == MAX_STEPS {
                return Err(format!("its pickle has more than {MAX_STEPS} instructions").into());
            }
        }
        let root = machine.pop()?;
        Ok(Self { values: machine.values, root })
    }

    pub(super) fn value(&self, id: Id) -> &Value {
        &self.values[id as usize]
    }

    /// The text of a value. `None` for a value of another type.
    pub(super) fn text(&self, id: Id) -> Option<&str> {
        match self.value(id) {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The value of a dictionary under the key `name`. The last of several equal keys counts.
    pub(super) fn entry(&self, dictionary: Id, name: &str) -> Option<Id> {
        let Value::Dict(pairs) = self.value(dictionary) else { return None };
        let found = pairs.iter().rev().find(|(key, _)| self.text(*key) == Some(name));
        found.map(|(_, value)| *value)
    }

    /// All storages.
    pub(super) fn storages(&self) -> impl Iterator<Item = Storage> + '_ {
        self.values.iter().filter_map(|value| match value {
            Value::Storage(storage) => Some(*storage),
            _ => None,
        })
    }
}

struct Machine<R> {
    input: std::io::Take<R>,
    values: Vec<Value>,
    stack: Vec<Id>,
    /// Lengths of the stack at the open marks.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
    n_pairs: usize,
}

impl<R: Read> Machine<R> {
    /// Executes one instruction. Returns true at the end of the pickle.
    fn step(&mut self) -> Result<bool, Cause> {
        let [instruction] = self.bytes()?;
        match instruction {
            0x80 => drop(self.bytes::<1>()?),
            0x95 => drop(self.bytes::<8>()?),
            b'.' => return Ok(true),
            b'(' => self.marks.push(self.stack.len()),
            b'0' => drop(self.pop()?),
            b'1' => drop(self.pop_mark()?),
            b'2' => self.stack.push(self.top()?),
            b'q' => self.memoize_byte()?,
            b'r' => {
                let index = self.u32()?;
                self.memo.insert(index, self.top()?);
            }
            0x94 => {
                let index = u32::try_from(self.memo.len())?;
                self.memo.insert(index, self.top()?);
            }
            b'h' => {
                let [index] = self.bytes()?;
                self.recall(index.into())?;
            }
            b'j' => {
                let index = self.u32()?;
                self.recall(index)?;
            }
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.class(&module, &name)?;
            }
            0x93 => {
                let (name, module) = (self.pop_text()?, self.pop_text()?);
                self.class(&module, &name)?;
            }
            b'Q' => self.persistent()?,
            b'R' | 0x81 => self.call()?,
            // Drops the state of an object: `_metadata` of a state dict, hooks of a parameter.
            b'b' => drop(self.pop()?),
            b'a' | b'e' | 0x90 | b's' | b'u' => self.extend(instruction)?,
            _ => return self.push_literal(instruction).map(|()| false),
        }
        Ok(false)
    }

    fn push_literal(&mut self, instruction: u8) -> Result<(), Cause> {
        let value = match instruction {
            b'N' => Value::Other,
            0x88 => Value::Bool(true),
            0x89 => Value::Bool(false),
            b'J' => Value::Int(i32::from_le_bytes(self.bytes()?).into()),
            b'K' => Value::Int(self.bytes::<1>()?[0].into()),
            b'M' => Value::Int(u16::from_le_bytes(self.bytes()?).into()),
            0x8a => self.long()?,
            b'G' => {
                self.bytes::<8>()?;
                Value::Other
            }
            b'X' | b'T' => {
                let n = self.u32()?;
                self.string(n.into())?
            }
            0x8c | b'U' => {
                let [n] = self.bytes()?;
                self.string(n.into())?
            }
            b'B' => {
                let n = self.u32()?;
                self.take(n.into())?;
                Value::Other
            }
            b'C' => {
                let [n] = self.bytes()?;
                self.take(n.into())?;
                Value::Other
            }
            b')' => Value::Tuple(Vec::new()),
            0x85..=0x87 => {
                let n = usize::from(instruction - 0x84);
                let start = self.stack.len().checked_sub(n).filter(|start| *start >= self.floor());
                Value::Tuple(self.stack.split_off(start.ok_or("an instruction lacks a value")?))
            }
            b't' => Value::Tuple(self.pop_mark()?),
            b']' | 0x8f => Value::List(Vec::new()),
            b'l' => Value::List(self.pop_mark()?),
            b'}' => Value::Dict(Vec::new()),
            b'd' => Value::Dict(pairs(&self.pop_mark()?)?),
            other => {
                return Err(
                    format!("instruction {other:#04x} has no place in a weight file").into()
                );
            }
        };
        self.push(value)
    }

    /// Executes `append`, `appends`, `additems`, `setitem` and `setitems`.
    fn extend(&mut self, instruction: u8) -> Result<(), Cause> {
        let items = match instruction {
            b'a' => vec![self.pop()?],
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                vec![key, value]
            }
            _ => self.pop_mark()?,
        };
        let target = self.top()?;
        match (instruction, &mut self.values[target as usize]) {
            (b'a' | b'e' | 0x90, Value::List(list)) => list.extend(items),
            (b's' | b'u', Value::Dict(entries)) => entries.extend(pairs(&items)?),
            // The entries belong to an object without weights.
            (_, Value::Other) => {}
            _ => return Err("an instruction does not fit its value".into()),
        }
        Ok(())
    }

    /// Evaluates a call of one of the [`CLASSES`] with a tuple of arguments.
    fn call(&mut self) -> Result<(), Cause> {
        let (arguments, class) = (self.pop()?, self.pop()?);
        let Value::Class(class) = self.values[class as usize] else {
            return Err("a call of what is no class".into());
        };
        let Value::Tuple(arguments) = &self.values[arguments as usize] else {
            return Err("a call without arguments".into());
        };
        let value = match (class, &arguments[..]) {
            (Class::OrderedDict, []) => Value::Dict(Vec::new()),
            (Class::OrderedDict, [list]) => Value::Dict(self.listed_pairs(*list)?),
            (Class::RebuildTensor, [storage, first, shape, strides, ..]) => {
                let tensor = self.tensor([*storage, *first, *shape, *strides])?;
                Value::Tensor(Box::new(tensor))
            }
            (Class::RebuildParameter, [tensor, ..]) | (Class::Size, [tensor]) => {
                self.stack.push(*tensor);
                return Ok(());
            }
            (Class::Other, _) => Value::Other,
            _ => {
                return Err(
                    format!("a call of {class:?} with {} arguments", arguments.len()).into()
                );
            }
        };
        self.push(value)
    }

    /// Reads the entries of `OrderedDict([[key, value], …])`.
    fn listed_pairs(&mut self, list: Id) -> Result<Vec<(Id, Id)>, Cause> {
        let Value::List(items) = &self.values[list as usize] else {
            return Err("a dictionary of something other than a list".into());
        };
        self.n_pairs += items.len();
        if self.n_pairs > MAX_PAIRS {
            return Err("it has too many entries".into());
        }
        let pair = |id: &Id| match &self.values[*id as usize] {
            Value::List(pair) | Value::Tuple(pair) if pair.len() == 2 => Ok((pair[0], pair[1])),
            _ => Err("an entry of a dictionary that is not a pair".into()),
        };
        items.iter().map(pair).collect()
    }

    fn tensor(&self, [storage, first, shape, strides]: [Id; 4]) -> Result<Tensor, Cause> {
        let Value::Storage(storage) = self.values[storage as usize] else {
            return Err("a tensor without storage".into());
        };
        let (first, shape) = (self.size(first)?, self.sizes(shape)?);
        let strides = self.sizes(strides)?;
        if shape.len() != strides.len() || row_major(&shape).is_none() {
            return Err("a tensor with an impossible shape".into());
        }
        Ok(Tensor { storage, first, shape, strides })
    }

    fn size(&self, id: Id) -> Result<usize, Cause> {
        match self.values[id as usize] {
            Value::Int(size) => Ok(usize::try_from(size)?),
            _ => Err("a size that is not an integer".into()),
        }
    }

    fn sizes(&self, id: Id) -> Result<Vec<usize>, Cause> {
        match &self.values[id as usize] {
            Value::Tuple(sizes) | Value::List(sizes) if sizes.len() <= MAX_RANK => {
                sizes.iter().map(|id| self.size(*id)).collect()
            }
            _ => Err(format!("a shape that is not a list of at most {MAX_RANK} sizes").into()),
        }
    }

    /// Reads a storage: `('storage', class, key, device, number of values[, view])`.
    fn persistent(&mut self) -> Result<(), Cause> {
        let id = self.pop()?;
        let fault = "a persistent id that is not a storage";
        let Value::Tuple(parts) = &self.values[id as usize] else { return Err(fault.into()) };
        let [kind, class, key, _device, n_values, view @ ..] = &parts[..] else {
            return Err(fault.into());
        };
        let value = |id: &Id| &self.values[*id as usize];
        let (Value::Text(kind), Value::Class(Class::Storage(dtype)), Value::Text(_)) =
            (value(kind), value(class), value(key))
        else {
            return Err(fault.into());
        };
        if kind != "storage" {
            return Err(fault.into());
        }
        let first = match view.first().map(value) {
            Some(Value::Tuple(view)) if view.len() == 3 => self.size(view[1])?,
            _ => 0,
        };
        let storage = Storage { key: *key, dtype, n_values: self.size(*n_values)?, first };
        self.push(Value::Storage(storage))
    }

    fn class(&mut self, module: &str, name: &str) -> Result<(), Cause> {
        let known = CLASSES.iter().find(|known| (known.0, known.1) == (module, name));
        match known {
            Some((_, _, class)) => self.push(Value::Class(*class)),
            None => Err(format!(
                "it names `{module}.{name}`, which has no place in a weight file; save the state \
                 dict alone, or convert the file to safetensors"
            )
            .into()),
        }
    }

    fn push(&mut self, value: Value) -> Result<(), Cause> {
        self.stack.push(u32::try_from(self.values.len())?);
        self.values.push(value);
        Ok(())
    }

    fn recall(&mut self, index: u32) -> Result<(), Cause> {
        let id = self.memo.get(&index).copied().ok_or("a reference to no value")?;
        self.stack.push(id);
        Ok(())
    }

    fn memoize_byte(&mut self) -> Result<(), Cause> {
        let [index] = self.bytes()?;
        self.memo.insert(index.into(), self.top()?);
        Ok(())
    }

    /// The position of the last mark on the stack. Values below it may not be taken.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn top(&self) -> Result<Id, Cause> {
        let values = self.stack.get(self.floor()..).unwrap_or_default();
        Ok(*values.last().ok_or("an instruction lacks a value")?)
    }

    fn pop(&mut self) -> Result<Id, Cause> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    fn pop_text(&mut self) -> Result<String, Cause> {
        let id = self.pop()?;
        match &self.values[id as usize] {
            Value::Text(text) => Ok(text.clone()),
            _ => Err("a class without a name".into()),
        }
    }

    /// Removes the last mark and the values above it, and returns these.
    fn pop_mark(&mut self) -> Result<Vec<Id>, Cause> {
        let mark = self.marks.pop().ok_or("an instruction lacks its mark")?;
        Ok(self.stack.split_off(mark))
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], Cause> {
        let mut bytes = [0; N];
        self.input.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn u32(&mut self) -> Result<u32, Cause> {
        self.bytes().map(u32::from_le_bytes)
    }

    /// Reads `n` bytes. The memory is bounded by the length of the file, not by `n`.
    fn take(&mut self, n: u64) -> Result<Vec<u8>, Cause> {
        let mut bytes = Vec::new();
        (&mut self.input).take(n).read_to_end(&mut bytes)?;
        if bytes.len() as u64 != n {
            return Err("it is cut off or too long".into());
        }
        Ok(bytes)
    }

    fn string(&mut self, n: u64) -> Result<Value, Cause> {
        let bytes = self.take(n)?;
        // No weight and no class has such a long name.
        if bytes.len() > MAX_TEXT {
            return Ok(Value::Other);
        }
        Ok(String::from_utf8(bytes).map_or(Value::Other, Value::Text))
    }

    /// Reads an integer of up to 255 bytes. No weight depends on one beyond 64 bits.
    fn long(&mut self) -> Result<Value, Cause> {
        let [n] = self.bytes()?;
        let bytes = self.take(n.into())?;
        if bytes.len() > 8 {
            return Ok(Value::Other);
        }
        let is_negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
        let mut whole = [if is_negative { 0xff } else { 0 }; 8];
        whole[..bytes.len()].copy_from_slice(&bytes);
        Ok(Value::Int(i64::from_le_bytes(whole)))
    }

    fn line(&mut self) -> Result<String, Cause> {
        let mut line = Vec::new();
        loop {
            match self.bytes()? {
                [b'\n'] => return Ok(String::from_utf8(line)?),
                _ if line.len() == MAX_TEXT => return Err("a class without a name".into()),
                [byte] => line.push(byte),
            }
        }
    }
}

fn pairs(items: &[Id]) -> Result<Vec<(Id, Id)>, Cause> {
    let (pairs, rest) = items.as_chunks::<2>();
    if rest.is_empty() {
        Ok(pairs.iter().map(|[key, value]| (*key, *value)).collect())
    } else {
        Err("a dictionary with a key without value".into())
    }
}
