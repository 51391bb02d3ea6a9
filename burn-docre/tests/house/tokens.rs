//! A tokenizer of Rust sources that suffices to find paths, and the removal of tests.

/// A word or a punctuation mark. A string or character literal is one token, a quotation mark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) line: usize,
}

/// The tokens of a source text, in order, without lifetimes and comments.
pub(crate) fn tokens(source: &str) -> Vec<Token> {
    let chars: Vec<char> = source.chars().collect();
    let (mut tokens, mut at, mut line) = (Vec::new(), 0, 1);
    while at < chars.len() {
        let (text, end) = next_token(&chars, at);
        if let Some(text) = text {
            tokens.push(Token { text, line });
        }
        line += chars[at..end].iter().filter(|c| **c == '\n').count();
        at = end;
    }
    tokens
}

/// The token at `at` and the position after it.
///
/// Returns no token for white space, a comment or a lifetime.
fn next_token(chars: &[char], at: usize) -> (Option<String>, usize) {
    let rest = &chars[at..];
    let literal = |end: usize| (Some("\"".to_owned()), (at + end).min(chars.len()));
    match rest {
        ['/', '/', ..] => (None, at + rest.iter().position(|c| *c == '\n').unwrap_or(rest.len())),
        ['/', '*', ..] => (None, at + block_comment(rest)),
        [':', ':', ..] => (Some("::".to_owned()), at + 2),
        ['"', ..] => literal(string(rest)),
        ['\'', '\\', ..] => {
            literal(4 + rest.iter().skip(3).position(|c| *c == '\'').unwrap_or(rest.len()))
        }
        ['\'', _, '\'', ..] => literal(3),
        ['\'', ..] => (None, at + 1 + word(&rest[1..])),
        [first, ..] if is_word(*first) => {
            let end = word(rest);
            let prefix: String = rest[..end].iter().collect();
            match raw_string(&rest[end..]) {
                Some(length) if matches!(&*prefix, "r" | "br" | "cr") => literal(end + length),
                _ => (Some(prefix), at + end),
            }
        }
        [first, ..] if first.is_whitespace() => (None, at + 1),
        [first, ..] => (Some(first.to_string()), at + 1),
        [] => (None, at),
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The length of the word at the start.
fn word(chars: &[char]) -> usize {
    chars.iter().position(|c| !is_word(*c)).unwrap_or(chars.len())
}

/// The length of the block comment at the start; such comments nest.
fn block_comment(chars: &[char]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at + 1 < chars.len() {
        match (chars[at], chars[at + 1]) {
            ('/', '*') => depth += 1,
            ('*', '/') => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            return at;
        }
    }
    chars.len()
}

/// The length of the string literal at the start.
fn string(chars: &[char]) -> usize {
    let mut at = 1;
    while at < chars.len() {
        match chars[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    chars.len()
}

/// The length of `#"…"#` at the start, with any number of `#`.
fn raw_string(chars: &[char]) -> Option<usize> {
    let n_signs = chars.iter().take_while(|c| **c == '#').count();
    if chars.get(n_signs) != Some(&'"') {
        return None;
    }
    let end: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', n_signs)).collect();
    let body = &chars[n_signs + 1..];
    let length = body.windows(end.len()).position(|window| window == end)?;
    Some(n_signs + 1 + length + end.len())
}

/// The tokens of a file without the items under `#[cfg(test)]` and `#[test]`.
pub(crate) struct Shipped {
    pub(crate) tokens: Vec<Token>,
    /// The modules that are declared by `#[cfg(test)] mod NAME;`.
    pub(crate) test_modules: Vec<String>,
}

/// Removes the items that are compiled for tests only.
pub(crate) fn without_tests(tokens: &[Token]) -> Shipped {
    let mut shipped = Shipped { tokens: Vec::new(), test_modules: Vec::new() };
    let mut at = 0;
    while at < tokens.len() {
        let Some(attribute) = attribute(&tokens[at..]) else {
            shipped.tokens.push(tokens[at].clone());
            at += 1;
            continue;
        };
        let end = at + attribute.len();
        if !is_for_tests(attribute) {
            at = end;
            continue;
        }
        let item = item(&tokens[end..]);
        let module = item.iter().position(|token| token.text == "mod");
        if let (Some(module), Some(last)) = (module, item.last())
            && last.text == ";"
        {
            shipped.test_modules.push(item[module + 1].text.clone());
        }
        at = end + item.len();
    }
    shipped
}

/// The attribute `#[…]` at the start, if there is one.
fn attribute(tokens: &[Token]) -> Option<&[Token]> {
    let is_at = |at: usize, text: &str| tokens.get(at).is_some_and(|token| token.text == text);
    if !is_at(0, "#") || !is_at(1, "[") {
        return None;
    }
    let mut depth = 0;
    let end = tokens.iter().position(|token| {
        match &*token.text {
            "[" => depth += 1,
            "]" => depth -= 1,
            _ => {}
        }
        depth == 0 && token.text == "]"
    })?;
    Some(&tokens[..=end])
}

/// Returns true for `#[test]`, `#[cfg(test)]` and other conditions that require `test`.
fn is_for_tests(attribute: &[Token]) -> bool {
    let has = |text: &str| attribute.iter().any(|token| token.text == text);
    let needs = attribute[2].text == "cfg" && !has("not") && !has("any");
    has("test") && (needs || attribute[2].text == "test")
}

/// The item at the start with its other attributes, up to its `;` or the end of its braces.
fn item(tokens: &[Token]) -> &[Token] {
    let mut start = 0;
    while let Some(attribute) = attribute(&tokens[start..]) {
        start += attribute.len();
    }
    let signature = tokens[start..].iter().take_while(|token| token.text != "{");
    let is_import = signature.take(8).any(|token| token.text == "use");
    let mut depth = 0;
    let end = tokens[start..].iter().position(|token| match &*token.text {
        "(" | "[" | "{" => {
            depth += 1;
            false
        }
        ")" | "]" => {
            depth -= 1;
            false
        }
        "}" => {
            depth -= 1;
            depth == 0 && !is_import
        }
        ";" => depth == 0,
        _ => false,
    });
    &tokens[..end.map_or(tokens.len(), |end| start + end + 1)]
}

#[test]
fn comments_and_lifetimes_are_dropped_and_literals_become_quotation_marks() {
    let source =
        "a // b\n/* c /* d */ e */ f \"g \\\" h\" r#\"i \" j\"# 'k' '\\'' &'l m::n '\\u{1F600}' o";
    let found = tokens(source);
    let words: Vec<&str> = found.iter().map(|token| &*token.text).collect();
    assert_eq!(words, ["a", "f", "\"", "\"", "\"", "\"", "&", "m", "::", "n", "\"", "o"]);
    assert_eq!((found[0].line, found[1].line), (1, 2));
}

#[test]
fn items_for_tests_are_removed() {
    let source = "use a; #[cfg(test)] use b::{c}; #[cfg(test)] mod d; #[inline] fn e() {} \
        #[cfg(test)] #[allow(x)] mod f { use g; } #[cfg(not(test))] fn h() {} #[test] fn i() {} j";
    let shipped = without_tests(&tokens(source));
    let words: Vec<&str> = shipped.tokens.iter().map(|token| &*token.text).collect();
    let kept = ["use", "a", ";", "fn", "e", "(", ")", "{", "}", "fn", "h", "(", ")", "{", "}", "j"];
    assert_eq!(words, kept);
    assert_eq!(shipped.test_modules, ["d"]);
}
