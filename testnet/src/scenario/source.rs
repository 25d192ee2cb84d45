//! A file's tables with the place of everything in them, and the list of what is wrong.
//!
//! Invariant: reading goes on after a mistake, so that one look at a file tells all of them; a
//! key that nobody asked for is a mistake too.

use std::fmt;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Mistakes of one file that are told.
pub const MISTAKES: usize = 100;

/// Something wrong in a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Mistake {
    /// The line, from 1.
    pub line: usize,
    /// The column in it, in characters from 1.
    pub column: usize,
    /// The key, as `step[2].take.offer`.
    pub key: String,
    /// What is wrong and what was expected.
    pub what: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.line, self.column)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.what)
    }
}

/// Where mistakes are put.
#[derive(Debug)]
pub struct Mistakes<'t> {
    text: &'t str,
    found: Vec<Mistake>,
}

impl<'t> Mistakes<'t> {
    /// None yet in this text.
    #[must_use]
    pub const fn of(text: &'t str) -> Self {
        Self { text, found: Vec::new() }
    }

    /// One more.
    pub fn add(&mut self, at: Range<usize>, key: &str, what: impl Into<String>) {
        if self.found.len() >= MISTAKES {
            return;
        }
        let (line, column) = place(self.text, at.start);
        self.found.push(Mistake { line, column, key: key.to_owned(), what: what.into() });
    }

    /// All of them, in the order of the file.
    #[must_use]
    pub fn all(mut self) -> Vec<Mistake> {
        self.found.sort();
        self.found.dedup();
        self.found
    }

    /// The line that a byte is on.
    #[must_use]
    pub fn line(&self, at: &Range<usize>) -> usize {
        place(self.text, at.start).0
    }
}

/// Line and column of the byte at `offset`, both from 1.
fn place(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count().saturating_add(1);
    let column = before.rsplit('\n').next().unwrap_or(before).chars().count();
    (line, column.saturating_add(1))
}

/// A value and the key that it stands under.
#[derive(Debug, Clone)]
pub struct Field<'t, 'i> {
    /// The key with those above it.
    pub key: String,
    /// The value.
    pub value: &'t Spanned<DeValue<'i>>,
}

impl<'t, 'i> Field<'t, 'i> {
    /// Says that this value is wrong.
    pub fn wrong(&self, mistakes: &mut Mistakes<'_>, what: impl Into<String>) {
        mistakes.add(self.value.span(), &self.key, what);
    }

    fn not(&self, mistakes: &mut Mistakes<'_>, expected: &str) {
        let kind = self.value.get_ref().type_str();
        self.wrong(mistakes, format!("{expected} is expected, and this is a value of type {kind}"));
    }

    /// Its text; `expected` says what should stand in it.
    pub fn text(&self, mistakes: &mut Mistakes<'_>, expected: &str) -> Option<&'t str> {
        match self.value.get_ref() {
            DeValue::String(text) => Some(text.as_ref()),
            DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_)
            | DeValue::Table(_) => {
                self.not(mistakes, &format!("a text with {expected}"));
                None
            }
        }
    }

    /// What its text means to `read`.
    pub fn parsed<T>(
        &self,
        mistakes: &mut Mistakes<'_>,
        expected: &str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        match read(self.text(mistakes, expected)?) {
            Ok(value) => Some(value),
            Err(what) => {
                self.wrong(mistakes, what);
                None
            }
        }
    }

    /// Its texts: one, or a list of them.
    pub fn each(&self, mistakes: &mut Mistakes<'_>, expected: &str) -> Vec<Field<'t, 'i>> {
        match self.value.get_ref() {
            DeValue::Array(list) => {
                let one = |(index, value)| Field { key: format!("{}[{index}]", self.key), value };
                list.iter().enumerate().map(one).collect()
            }
            DeValue::String(_) => vec![self.clone()],
            DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Table(_) => {
                self.not(mistakes, &format!("a text with {expected}, or a list of such texts"));
                Vec::new()
            }
        }
    }

    /// Its number, which has to be in the range.
    pub fn number(&self, mistakes: &mut Mistakes<'_>, range: Range<u64>) -> Option<u64> {
        let number = match self.value.get_ref() {
            DeValue::Integer(number) => u64::from_str_radix(number.as_str(), number.radix()).ok(),
            DeValue::String(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_)
            | DeValue::Table(_) => None,
        };
        let number = number.filter(|number| range.contains(number));
        if number.is_none() {
            let last = range.end.saturating_sub(1);
            let what = format!("a whole number from {} to {last} is expected", range.start);
            self.wrong(mistakes, what);
        }
        number
    }

    /// Its truth.
    pub fn flag(&self, mistakes: &mut Mistakes<'_>) -> Option<bool> {
        let flag = self.value.get_ref().as_bool();
        if flag.is_none() {
            self.not(mistakes, "true or false");
        }
        flag
    }

    /// Its table; `like` is an example of one.
    pub fn table(&self, mistakes: &mut Mistakes<'_>, like: &str) -> Option<Table<'t, 'i>> {
        match self.value.get_ref().as_table() {
            Some(entries) => Some(Table::new(self.key.clone(), self.value.span(), entries)),
            None => {
                self.not(mistakes, &format!("a table like {like}"));
                None
            }
        }
    }

    /// Its tables, as `[[name]]` writes them.
    pub fn tables(&self, mistakes: &mut Mistakes<'_>) -> Vec<Table<'t, 'i>> {
        let Some(list) = self.value.get_ref().as_array() else {
            self.not(mistakes, &format!("tables that begin with [[{}]]", self.key));
            return Vec::new();
        };
        let mut tables = Vec::new();
        for (index, value) in list.iter().enumerate() {
            let field = Field { key: format!("{}[{index}]", self.key), value };
            tables.extend(field.table(mistakes, "{ … }"));
        }
        tables
    }
}

/// A table that remembers what was asked of it.
#[derive(Debug)]
pub struct Table<'t, 'i> {
    /// The key that it stands under; empty for the file itself.
    pub key: String,
    /// Where it is.
    pub at: Range<usize>,
    entries: &'t DeTable<'i>,
    asked: Vec<&'static str>,
}

impl<'t, 'i> Table<'t, 'i> {
    /// Nothing asked yet.
    #[must_use]
    pub const fn new(key: String, at: Range<usize>, entries: &'t DeTable<'i>) -> Self {
        Self { key, at, entries, asked: Vec::new() }
    }

    fn below(&self, name: &str) -> String {
        if self.key.is_empty() { name.to_owned() } else { format!("{}.{name}", self.key) }
    }

    /// The value under a key, if there is one.
    pub fn find(&mut self, name: &'static str) -> Option<Field<'t, 'i>> {
        self.asked.push(name);
        let value = self.entries.get(name)?;
        Some(Field { key: self.below(name), value })
    }

    /// The value under a key that has to be there.
    pub fn need(
        &mut self,
        mistakes: &mut Mistakes<'_>,
        name: &'static str,
        expected: &str,
    ) -> Option<Field<'t, 'i>> {
        let found = self.find(name);
        if found.is_none() {
            let what = format!("`{name}` is missing: {expected} is expected");
            mistakes.add(self.at.clone(), &self.key, what);
        }
        found
    }

    /// Every key and value, in the order of the file.
    #[must_use]
    pub fn entries(&self) -> Vec<(String, Range<usize>, Field<'t, 'i>)> {
        let one = |(name, value): (&Spanned<_>, &'t Spanned<DeValue<'i>>)| {
            let text: &str = AsRef::<str>::as_ref(name.get_ref());
            (text.to_owned(), name.span(), Field { key: self.below(text), value })
        };
        let mut all: Vec<_> = self.entries.iter().map(one).collect();
        all.sort_by_key(|(_, at, _)| at.start);
        all
    }

    /// Complains of every key that nobody asked for.
    pub fn done(self, mistakes: &mut Mistakes<'_>) {
        for (name, at, field) in self.entries() {
            if !self.asked.contains(&name.as_str()) {
                let known = self.asked.join(", ");
                mistakes.add(at, &field.key, format!("there is no such key; known here: {known}"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_lines_and_columns_in_characters() {
        let text = "a = 1\nä = \"ö\" x\n";
        assert_eq!(place(text, 0), (1, 1));
        assert_eq!(place(text, 6), (2, 1));
        assert_eq!(place(text, text.find('x').unwrap()), (2, 9));
    }

    #[test]
    fn what_nobody_asked_for_is_a_mistake_at_its_place() {
        let text = "a = 1\n[b]\nc = 2\nd = \"x\"\n";
        let (parsed, errors) = DeTable::parse_recoverable(text);
        assert!(errors.is_empty());
        let mut mistakes = Mistakes::of(text);
        let mut root = Table::new(String::new(), parsed.span(), parsed.get_ref());
        assert_eq!(root.find("a").unwrap().number(&mut mistakes, 0..9), Some(1));
        let mut b = root.find("b").unwrap().table(&mut mistakes, "b").unwrap();
        assert_eq!(b.find("c").unwrap().number(&mut mistakes, 5..9), None);
        assert!(b.need(&mut mistakes, "e", "a number").is_none());
        b.done(&mut mistakes);
        root.done(&mut mistakes);
        let told: Vec<(usize, usize, String)> =
            mistakes.all().into_iter().map(|it| (it.line, it.column, it.key)).collect();
        let expected = [(2, 1, "b".to_owned()), (3, 5, "b.c".to_owned()), (4, 1, "b.d".to_owned())];
        assert_eq!(told, expected);
    }
}
