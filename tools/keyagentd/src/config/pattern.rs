// SPDX-License-Identifier: GPL-2.0-or-later

//! A field of a rule that a request is compared with.

use std::ops::Range;

use super::line::Dialect;

/// One of the first four fields of a rule: a text in which one asterisk stands for any text, also
/// for none. Further asterisks stand for themselves.
///
/// An asterisk between other text is documented for request-key.conf(5), too, but request-key(8) of
/// keyutils 1.6.3 makes a mistake there: it compares the end of the value not with what follows the
/// asterisk, but with as many bytes from the beginning of the pattern. So does this with a pattern
/// of [`Dialect::RequestKey`], that a rule means the same to both: `a*c` is not for `abc`, but it
/// is for `aba`. With one of [`Dialect::Own`] it is for `abc`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    text: Vec<u8>,
    /// Where the first asterisk is.
    asterisk: Option<usize>,
    /// Which part of the text a value ends with, if there is an asterisk.
    end: Range<usize>,
}

impl Pattern {
    /// Takes a pattern as it is written.
    #[must_use]
    pub fn new(dialect: Dialect, text: &[u8]) -> Self {
        let mut pattern = Self {
            text: text.to_vec(),
            asterisk: text.iter().position(|byte| *byte == b'*'),
            end: 0..0,
        };
        pattern.end = match (dialect, pattern.asterisk_within(), pattern.asterisk) {
            (Dialect::RequestKey, Some(within), _) => 0..text.len() - within - 1,
            (_, _, Some(at)) => at + 1..text.len(),
            (_, _, None) => 0..0,
        };
        pattern
    }

    /// How many bytes of `value` the asterisk stands for, or `None` if they do not match. Without
    /// an asterisk it is 0, as it is when the asterisk stands for nothing.
    #[must_use]
    pub fn skips(&self, value: &[u8]) -> Option<usize> {
        let Some(at) = self.asterisk else {
            return (value == self.text).then_some(0);
        };
        let skipped = value.len().checked_sub(self.text.len() - 1)?;
        let (head, end) = (&self.text[..at], &self.text[self.end.clone()]);
        (value.starts_with(head) && value.ends_with(end)).then_some(skipped)
    }

    /// Is it for this value and no other?
    pub(super) fn is_exactly(&self, value: &[u8]) -> bool {
        self.asterisk.is_none() && self.text == value
    }

    /// Where the asterisk is, if it is between other text.
    pub(super) fn asterisk_within(&self) -> Option<usize> {
        self.asterisk
            .filter(|at| (1..self.text.len() - 1).contains(at))
    }

    /// Where the second asterisk is.
    pub(super) fn second_asterisk(&self) -> Option<usize> {
        let rest = &self.text[self.asterisk? + 1..];
        let at = rest.iter().position(|byte| *byte == b'*')?;
        Some(self.text.len() - rest.len() + at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: [Dialect; 2] = [Dialect::RequestKey, Dialect::Own];

    fn skips_in(dialect: Dialect, pattern: &str, value: &str) -> Option<usize> {
        Pattern::new(dialect, pattern.as_bytes()).skips(value.as_bytes())
    }

    /// What both dialects have in common.
    fn skips(pattern: &str, value: &str) -> Option<usize> {
        let [theirs, own] = BOTH.map(|dialect| skips_in(dialect, pattern, value));
        assert_eq!(theirs, own, "{pattern} {value}");
        own
    }

    #[test]
    fn without_asterisk() {
        assert_eq!(skips("user", "user"), Some(0));
        assert_eq!(skips("user", "users"), None);
        assert_eq!(skips("user", "use"), None);
        assert_eq!(skips("user", "User"), None);
        assert_eq!(skips("user", ""), None);
    }

    #[test]
    fn alone() {
        assert_eq!(skips("*", ""), Some(0));
        assert_eq!(skips("*", "abc"), Some(3));
    }

    #[test]
    fn at_an_end() {
        assert_eq!(skips("debug:*", "debug:"), Some(0));
        assert_eq!(skips("debug:*", "debug:x"), Some(1));
        assert_eq!(skips("debug:*", "debug"), None);
        assert_eq!(skips("debug:*", "xdebug:"), None);
        assert_eq!(skips("*.example", "a.example"), Some(1));
        assert_eq!(skips("*.example", ".example"), Some(0));
        assert_eq!(skips("*.example", "example"), None);
    }

    #[test]
    fn within_as_keyutils_has_it() {
        let skips = |pattern, value| skips_in(Dialect::RequestKey, pattern, value);
        assert_eq!(skips("a*c", "abbc"), None);
        assert_eq!(skips("a*c", "abba"), Some(2));
        assert_eq!(skips("a*a", "abba"), Some(2));
        assert_eq!(skips("a*a", "aa"), Some(0));
        assert_eq!(skips("a*a", "a"), None);
        assert_eq!(skips("a*a", "bba"), None);
        // The beginning of the pattern, with its asterisk.
        assert_eq!(skips("a*bcd", "axa*b"), Some(1));
        assert_eq!(skips("a*bcd", "aa*b"), Some(0));
        assert_eq!(skips("a*bcd", "a*b"), None);
    }

    #[test]
    fn within_as_it_should_be() {
        let skips = |pattern, value| skips_in(Dialect::Own, pattern, value);
        assert_eq!(skips("a*c", "abbc"), Some(2));
        assert_eq!(skips("a*c", "ac"), Some(0));
        assert_eq!(skips("a*c", "abba"), None);
        assert_eq!(skips("a*c", "bc"), None);
        assert_eq!(skips("a*c", "c"), None);
        assert_eq!(skips("a*bcd", "axbcd"), Some(1));
        assert_eq!(skips("a*bcd", "abcd"), Some(0));
        assert_eq!(skips("a*bcd", "axa*b"), None);
        assert_eq!(skips("id:*@example.org", "id:joe@example.org"), Some(3));
    }

    #[test]
    fn ends_do_not_overlap() {
        assert_eq!(skips("ab*ab", "abab"), Some(0));
        assert_eq!(skips("ab*ab", "ab"), None);
        assert_eq!(skips("aa*aa", "aaa"), None);
    }

    #[test]
    fn further_asterisks_are_text() {
        assert_eq!(skips("**", "abc"), None);
        assert_eq!(skips("**", "abc*"), Some(3));
        assert_eq!(skips("*a*", "xa*"), Some(1));
        assert_eq!(skips("*a*", "xab"), None);
    }

    #[test]
    fn any_bytes() {
        let pattern = Pattern::new(Dialect::Own, b"\xff*");
        assert_eq!(pattern.skips(b"\xff\x80 \xfe"), Some(3));
        assert_eq!(pattern.skips(b"\xfe"), None);
    }

    #[test]
    fn where_asterisks_are() {
        let places = |text: &str| {
            let pattern = Pattern::new(Dialect::Own, text.as_bytes());
            (pattern.asterisk_within(), pattern.second_asterisk())
        };
        for text in ["", "a", "*", "a*", "*a"] {
            assert_eq!(places(text), (None, None), "{text}");
        }
        assert_eq!(places("a*b"), (Some(1), None));
        assert_eq!(places("a**"), (Some(1), Some(2)));
        assert_eq!(places("**"), (None, Some(1)));
        assert_eq!(places("*ab*c*"), (None, Some(3)));
    }

    #[test]
    fn exactly() {
        for dialect in BOTH {
            let is = |text: &str, value: &str| {
                Pattern::new(dialect, text.as_bytes()).is_exactly(value.as_bytes())
            };
            assert!(is("user", "user"));
            assert!(!is("user", "use") && !is("*", "*") && !is("user*", "user"));
        }
    }
}
