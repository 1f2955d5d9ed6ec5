//! A table of a profile, which is asked for each key that may be in it.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::error::Error;
use crate::value::{Limit, Units, parse_limit};

/// A table, and the keys that it was asked for.
pub(super) struct Section<'t, 'i> {
    document: &'t str,
    /// `files`; empty for the topmost.
    name: String,
    table: &'t DeTable<'i>,
    asked: Vec<&'static str>,
}

/// A value of a table or an item of a list.
pub(super) struct Item<'t, 'i>(&'t Spanned<DeValue<'i>>);

impl<'t, 'i> Section<'t, 'i> {
    /// The topmost table of a document.
    pub(super) fn new(document: &'t str, table: &'t DeTable<'i>) -> Self {
        Self {
            document,
            name: String::new(),
            table,
            asked: Vec::new(),
        }
    }

    fn get(&mut self, key: &'static str) -> Option<Item<'t, 'i>> {
        self.asked.push(key);
        self.table.get(key).map(Item)
    }

    /// What is wrong with the value of a key.
    pub(super) fn error(&self, key: &str, what: impl Into<String>) -> Error {
        let place = self.table.get(key).map_or(0, |value| value.span().start);
        self.error_at(key, place, what)
    }

    fn error_at(&self, key: &str, place: usize, what: impl Into<String>) -> Error {
        let mut error = Error::new(what)
            .key(path(&self.name, key))
            .hint("docs/profiles.md has every key");
        error.line = Some(line(self.document, place));
        error
    }

    /// The value of a key, if it is there, as `read` takes it.
    fn value<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&Item<'t, 'i>) -> Result<T, String>,
    ) -> Result<Option<T>, Error> {
        let Some(item) = self.get(key) else {
            return Ok(None);
        };
        let value = read(&item);
        let value =
            value.map_err(|what| self.error_at(key, item.0.span().start, what))?;
        Ok(Some(value))
    }

    pub(super) fn word<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, Error> {
        self.value(key, |item| read(item.text()?))
    }

    pub(super) fn text(&mut self, key: &'static str) -> Result<Option<String>, Error> {
        self.word(key, |text| Ok(text.to_owned()))
    }

    pub(super) fn flag(&mut self, key: &'static str) -> Result<Option<bool>, Error> {
        self.value(key, |item| match item.0.get_ref() {
            DeValue::Boolean(flag) => Ok(*flag),
            _ => Err(item.unexpected("true or false")),
        })
    }

    pub(super) fn number(&mut self, key: &'static str) -> Result<Option<u64>, Error> {
        self.value(key, |item| {
            item.number().ok_or_else(|| item.unexpected("a number"))
        })
    }

    /// A number, or a text with one of these units.
    pub(super) fn limit(
        &mut self,
        key: &'static str,
        units: &Units,
        expected: &str,
    ) -> Result<Option<Limit>, Error> {
        self.value(key, |item| {
            let text = item.text().ok().and_then(|text| parse_limit(text, units));
            let limit = item.number().map(Limit::At).or(text);
            limit.ok_or_else(|| item.unexpected(expected))
        })
    }

    /// A list of which `read` takes each item; `None` where there is no such key.
    pub(super) fn optional_list<T>(
        &mut self,
        key: &'static str,
        mut read: impl FnMut(&Item<'t, 'i>) -> Result<T, String>,
    ) -> Result<Option<Vec<T>>, Error> {
        let Some(list) = self.value(key, |item| match item.0.get_ref() {
            DeValue::Array(list) => Ok(list),
            _ => Err(item.unexpected("a list: [...]")),
        })?
        else {
            return Ok(None);
        };
        let mut items = Vec::with_capacity(list.len());
        for item in list.iter() {
            let value = read(&Item(item));
            items
                .push(value.map_err(|what| self.error_at(key, item.span().start, what))?);
        }
        Ok(Some(items))
    }

    /// A list that may be absent, which is the same as empty.
    pub(super) fn list<T>(
        &mut self,
        key: &'static str,
        read: impl FnMut(&Item<'t, 'i>) -> Result<T, String>,
    ) -> Result<Vec<T>, Error> {
        Ok(self.optional_list(key, read)?.unwrap_or_default())
    }

    pub(super) fn texts(
        &mut self,
        key: &'static str,
        check: fn(&str) -> Result<(), String>,
    ) -> Result<Vec<String>, Error> {
        self.list(key, |item| {
            let text = item.text()?;
            check(text).map(|()| text.to_owned())
        })
    }

    /// A table of texts with any keys.
    pub(super) fn variables(
        &mut self,
        key: &'static str,
        check: fn(&str, &str) -> Result<(), String>,
    ) -> Result<BTreeMap<String, String>, Error> {
        let table = self.value(key, Item::table)?;
        let mut variables = BTreeMap::new();
        for (name, value) in table.into_iter().flatten() {
            let text = Item(value).text().and_then(|text| {
                check(name.get_ref(), text)?;
                Ok(text.to_owned())
            });
            let text = text.map_err(|what| {
                self.error_at(&path(key, name.get_ref()), value.span().start, what)
            })?;
            variables.insert(name.get_ref().to_string(), text);
        }
        Ok(variables)
    }

    /// A table within this one, as `read` takes it; what it says if it is not there.
    pub(super) fn section<T: Default>(
        &mut self,
        key: &'static str,
        read: fn(&mut Section<'_, '_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let Some(table) = self.value(key, Item::table)? else {
            return Ok(T::default());
        };
        let mut section = Section {
            document: self.document,
            name: path(&self.name, key),
            table,
            asked: Vec::new(),
        };
        let value = read(&mut section)?;
        section.finish()?;
        Ok(value)
    }

    /// Refuses every key that was not asked for.
    pub(super) fn finish(self) -> Result<(), Error> {
        let mut keys = self.table.keys();
        let Some(key) = keys.find(|key| !self.asked.contains(&key.get_ref().as_ref()))
        else {
            return Ok(());
        };
        let name = key.get_ref();
        let what = format!("unknown key '{name}'; there are {}", self.asked.join(", "));
        Err(self.error_at(name, key.span().start, what))
    }
}

impl<'t, 'i> Item<'t, 'i> {
    pub(super) fn text(&self) -> Result<&'t str, String> {
        match self.0.get_ref() {
            DeValue::String(text) => Ok(text),
            _ => Err(self.unexpected("a text")),
        }
    }

    /// A number that is not negative, and not the kernel's word for infinity.
    pub(super) fn number(&self) -> Option<u64> {
        match self.0.get_ref() {
            DeValue::Integer(number) => {
                let value = u64::from_str_radix(number.as_str(), number.radix()).ok();
                value.filter(|value| *value != u64::MAX)
            }
            _ => None,
        }
    }

    fn table(&self) -> Result<&'t DeTable<'i>, String> {
        match self.0.get_ref() {
            DeValue::Table(table) => Ok(table),
            _ => Err(self.unexpected("a table")),
        }
    }

    /// That something else is here.
    pub(super) fn unexpected(&self, expected: &str) -> String {
        let found = match self.0.get_ref() {
            DeValue::String(text) => format!("'{text}'"),
            DeValue::Integer(number) => number.to_string(),
            DeValue::Float(_) => "a fraction".to_owned(),
            DeValue::Boolean(flag) => flag.to_string(),
            DeValue::Datetime(_) => "a date".to_owned(),
            DeValue::Array(_) => "a list".to_owned(),
            DeValue::Table(_) => "a table".to_owned(),
        };
        format!("{expected} is expected, not {found}")
    }
}

fn path(above: &str, key: &str) -> String {
    match above {
        "" => key.to_owned(),
        _ => format!("{above}.{key}"),
    }
}

/// An error on a key with the line of that key, or of the last above it that is there.
pub(super) fn locate(document: &str, table: &DeTable<'_>, mut error: Error) -> Error {
    let key = error.key.clone().unwrap_or_default();
    let mut table = Some(table);
    for part in key.split('.') {
        let Some((name, value)) = table.and_then(|table| table.get_key_value(part))
        else {
            break;
        };
        error.line = Some(line(document, name.span().start));
        table = match value.get_ref() {
            DeValue::Table(inner) => Some(inner),
            _ => None,
        };
    }
    error
}

/// The line of a place in a text, from 1 on.
pub(super) fn line(text: &str, place: usize) -> usize {
    let before = text.as_bytes().iter().take(place);
    1 + before.filter(|byte| **byte == b'\n').count()
}
