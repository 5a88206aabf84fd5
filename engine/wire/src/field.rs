//! Reading and writing the fields of a command, in order, from left to right.

use crate::command::Mnemonic;
use crate::error::{Malformed, Unrepresentable};
use crate::level::Level;
use crate::text::{Text, VariableText};

/// Takes the fields off an Exchange Buffer. Octets after the last field are ignored (`DEVIATIONS.md`).
pub(crate) struct FieldReader<'a> {
    command: Mnemonic,
    rest: &'a [u8],
}

impl<'a> FieldReader<'a> {
    /// `octets` without the command's letter.
    pub(crate) fn new(command: Mnemonic, octets: &'a [u8]) -> Self {
        Self { command, rest: octets }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn wrong(&self, field: &'static str, problem: &'static str) -> Malformed {
        Malformed::Field { command: self.command, field, problem }
    }

    pub(crate) fn octets(&mut self, field: &'static str, count: usize) -> Result<&'a [u8], Malformed> {
        let Some((taken, rest)) = self.rest.split_at_checked(count) else {
            let available = self.rest.len();
            return Err(Malformed::TooShort { command: self.command, field, needed: count, available });
        };
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], Malformed> {
        let octets = self.octets(field, N)?;
        let mut array = [0; N];
        array.copy_from_slice(octets);
        Ok(array)
    }

    pub(crate) fn text<const N: usize>(&mut self, field: &'static str) -> Result<Text<N>, Malformed> {
        self.array(field).map(Text::from_octets)
    }

    /// A numeric field. Leading spaces count as zeros (`DEVIATIONS.md`).
    pub(crate) fn number(&mut self, field: &'static str, digits: usize) -> Result<u64, Malformed> {
        let octets = self.octets(field, digits)?;
        let mut value = 0_u64;
        let mut seen_digit = false;
        for &octet in octets {
            match octet {
                b'0'..=b'9' => {
                    seen_digit = true;
                    value = value * 10 + u64::from(octet - b'0');
                }
                b' ' if !seen_digit => {}
                _ => return Err(self.wrong(field, "is not a number")),
            }
        }
        Ok(value)
    }

    /// A numeric field of two digits.
    pub(crate) fn code(&mut self, field: &'static str) -> Result<u8, Malformed> {
        let value = self.number(field, 2)?;
        u8::try_from(value).map_err(|_| self.wrong(field, "is not a number"))
    }

    pub(crate) fn letter(&mut self, field: &'static str) -> Result<u8, Malformed> {
        Ok(self.array::<1>(field)?[0])
    }

    pub(crate) fn yes_no(&mut self, field: &'static str) -> Result<bool, Malformed> {
        match self.letter(field)? {
            b'Y' => Ok(true),
            b'N' => Ok(false),
            _ => Err(self.wrong(field, "is neither Y nor N")),
        }
    }

    /// `9(3)` length, then as many octets of UTF-8.
    pub(crate) fn variable_text(
        &mut self,
        length_field: &'static str,
        field: &'static str,
    ) -> Result<VariableText, Malformed> {
        let length = usize::try_from(self.number(length_field, 3)?).unwrap_or(usize::MAX);
        let octets = self.octets(field, length)?.to_vec();
        VariableText::from_octets(octets).ok_or_else(|| self.wrong(field, "is longer than 999 octets"))
    }

    /// `U(2)` length in network byte order, then as many octets.
    pub(crate) fn binary(
        &mut self,
        length_field: &'static str,
        field: &'static str,
    ) -> Result<Vec<u8>, Malformed> {
        let length = u16::from_be_bytes(self.array(length_field)?);
        Ok(self.octets(field, usize::from(length))?.to_vec())
    }

    pub(crate) fn skip(&mut self, field: &'static str, count: usize) -> Result<(), Malformed> {
        self.octets(field, count).map(|_| ())
    }
}

/// Appends fields to an Exchange Buffer.
pub(crate) struct FieldWriter<'a> {
    level: Level,
    out: &'a mut Vec<u8>,
}

impl<'a> FieldWriter<'a> {
    /// Starts the Exchange Buffer with the command's letter.
    pub(crate) fn new(command: Mnemonic, level: Level, out: &'a mut Vec<u8>) -> Self {
        out.push(command.letter());
        Self { level, out }
    }

    pub(crate) fn octets(&mut self, octets: &[u8]) {
        self.out.extend_from_slice(octets);
    }

    pub(crate) fn reserved(&mut self, count: usize) {
        self.out.extend(std::iter::repeat_n(b' ', count));
    }

    pub(crate) fn number(
        &mut self,
        field: &'static str,
        digits: usize,
        value: u64,
    ) -> Result<(), Unrepresentable> {
        let start = self.out.len();
        let mut left = value;
        self.out.resize(start + digits, b'0');
        for octet in self.out[start..].iter_mut().rev() {
            *octet = b'0' + u8::try_from(left % 10).unwrap_or_default();
            left /= 10;
        }
        if left > 0 {
            let level = self.level.digit();
            return Err(Unrepresentable::TooLarge { field, value, digits, level });
        }
        Ok(())
    }

    pub(crate) fn yes_no(&mut self, value: bool) {
        self.out.push(if value { b'Y' } else { b'N' });
    }

    pub(crate) fn carriage_return(&mut self) {
        self.out.push(b'\r');
    }

    pub(crate) fn variable_text(
        &mut self,
        length_field: &'static str,
        text: &VariableText,
    ) -> Result<(), Unrepresentable> {
        self.number(length_field, 3, text.octets().len() as u64)?;
        self.octets(text.octets());
        Ok(())
    }

    pub(crate) fn binary(&mut self, field: &'static str, octets: &[u8]) -> Result<(), Unrepresentable> {
        let Ok(length) = u16::try_from(octets.len()) else {
            let level = self.level.digit();
            return Err(Unrepresentable::TooLarge { field, value: octets.len() as u64, digits: 5, level });
        };
        self.octets(&length.to_be_bytes());
        self.octets(octets);
        Ok(())
    }
}
