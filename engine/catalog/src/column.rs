//! Values to columns and back. What comes back from a column is parsed like anything from outside: a value that
//! cannot be ours is reported as damage.

use odile_wire::{DateStamp, FileId, IdentificationCode, Text, TimeStamp, VariableText};
use rusqlite::Row;
use rusqlite::types::{FromSql, Type};

use crate::error::CatalogError;

/// Unsigned to what SQLite stores: up to 2^63 - 1.
pub(crate) fn signed(what: &'static str, value: u64) -> Result<i64, CatalogError> {
    i64::try_from(value).map_err(|_| CatalogError::OutOfRange { what, value })
}

/// A number that is never negative.
pub(crate) fn unsigned<T: TryFrom<i64>>(row: &Row<'_>, column: &'static str) -> rusqlite::Result<T> {
    parsed(row, column, |stored: i64| T::try_from(stored).ok())
}

/// A number that is never negative, if there is one.
pub(crate) fn optional_unsigned<T: TryFrom<i64>>(
    row: &Row<'_>,
    column: &'static str,
) -> rusqlite::Result<Option<T>> {
    parsed(row, column, |stored: Option<i64>| stored.map(T::try_from).transpose().ok())
}

/// `N` octets of text.
pub(crate) fn text<const N: usize>(row: &Row<'_>, column: &'static str) -> rusqlite::Result<Text<N>> {
    row.get(column).map(Text::from_octets)
}

/// An Identification Code, as it came.
pub(crate) fn identification_code(
    row: &Row<'_>,
    column: &'static str,
) -> rusqlite::Result<IdentificationCode> {
    row.get(column).map(IdentificationCode::from_octets)
}

/// A text of variable length.
pub(crate) fn variable_text(row: &Row<'_>, column: &'static str) -> rusqlite::Result<VariableText> {
    parsed(row, column, VariableText::from_octets)
}

/// The identity of a file, from the columns of that name.
pub(crate) fn file(row: &Row<'_>) -> rusqlite::Result<FileId> {
    Ok(FileId {
        dataset_name: text(row, "dataset_name")?,
        date: parsed(row, "date", |stored: String| DateStamp::new(stored.into_bytes().try_into().ok()?))?,
        time: parsed(row, "time", |stored: String| TimeStamp::new(stored.into_bytes().try_into().ok()?))?,
        destination: identification_code(row, "destination")?,
        originator: identification_code(row, "originator")?,
    })
}

/// A column whose stored form may be refused by `parse`.
pub(crate) fn parsed<S: FromSql, T>(
    row: &Row<'_>,
    column: &'static str,
    parse: impl FnOnce(S) -> Option<T>,
) -> rusqlite::Result<T> {
    parse(row.get(column)?).ok_or_else(|| {
        let detail = format!("column {column} holds a value that Odile never writes");
        let index = row.as_ref().column_index(column).unwrap_or_default();
        rusqlite::Error::FromSqlConversionFailure(index, Type::Null, detail.into())
    })
}
