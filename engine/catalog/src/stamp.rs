//! The next free date and time stamp of a file (RFC 5024 §5.3.3, SFIDTIME): the counter tells files of one second
//! apart; when a second is used up, the next one begins.

use odile_wire::{DateStamp, TimeStamp};

/// Counters of one second: 1 to this.
const COUNTER_MAX: u16 = 9999;

/// Counter of a time stamp, 0 to 9999.
pub(crate) fn counter(time: &TimeStamp) -> u16 {
    u16::try_from(number(&time.digits()[6..])).unwrap_or_default()
}

/// The same second with another counter; `None` above 9999.
pub(crate) fn with_counter(time: &TimeStamp, counter: u16) -> Option<TimeStamp> {
    if counter > COUNTER_MAX {
        return None;
    }
    let mut digits = *time.digits();
    write_number(&mut digits[6..], u32::from(counter));
    TimeStamp::new(digits)
}

/// The first stamp of the next second; `None` after the last one of the year 9999.
pub(crate) fn next_second(date: DateStamp, time: &TimeStamp) -> Option<(DateStamp, TimeStamp)> {
    let digits = time.digits();
    let (mut hour, mut minute, mut second) =
        (number(&digits[..2]), number(&digits[2..4]), number(&digits[4..6]));
    let mut date = date;
    second += 1;
    if second >= 60 {
        second = 0;
        minute += 1;
    }
    if minute >= 60 {
        minute = 0;
        hour += 1;
    }
    if hour >= 24 {
        hour = 0;
        date = next_day(date)?;
    }
    let mut digits = *b"0000000001";
    write_number(&mut digits[..2], hour);
    write_number(&mut digits[2..4], minute);
    write_number(&mut digits[4..6], second);
    Some((date, TimeStamp::new(digits)?))
}

/// Stamps need not be calendar dates; months that do not exist have 31 days here.
fn next_day(date: DateStamp) -> Option<DateStamp> {
    let digits = date.digits();
    let (mut year, mut month, mut day) = (number(&digits[..4]), number(&digits[4..6]), number(&digits[6..]));
    let is_leap_year = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap_year => 29,
        2 => 28,
        _ => 31,
    };
    day += 1;
    if day > days {
        day = 1;
        month += 1;
    }
    if month > 12 {
        month = 1;
        year += 1;
    }
    if year > 9999 {
        return None;
    }
    let mut digits = *b"00000000";
    write_number(&mut digits[..4], year);
    write_number(&mut digits[4..6], month);
    write_number(&mut digits[6..], day);
    DateStamp::new(digits)
}

fn number(digits: &[u8]) -> u32 {
    digits.iter().fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0'))
}

fn write_number(digits: &mut [u8], mut value: u32) {
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + u8::try_from(value % 10).unwrap_or_default();
        value /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(date: [u8; 8], time: [u8; 10]) -> Option<(String, String)> {
        next_second(DateStamp::new(date).unwrap(), &TimeStamp::new(time).unwrap())
            .map(|(date, time)| (date.to_string(), time.to_string()))
    }

    #[test]
    fn carries_from_second_to_year() {
        for (date, time, next_date, next_time) in [
            (b"20261123", b"1204059999", "20261123", "1204060001"),
            (b"20261123", b"1204590003", "20261123", "1205000001"),
            (b"20261123", b"1259599999", "20261123", "1300000001"),
            (b"20261130", b"2359599999", "20261201", "0000000001"),
            (b"20270228", b"2359599999", "20270301", "0000000001"),
            (b"20280228", b"2359599999", "20280229", "0000000001"),
            (b"21000228", b"2359599999", "21000301", "0000000001"),
            (b"20261231", b"2359599999", "20270101", "0000000001"),
            // No clock shows these, but a stamp may.
            (b"20261399", b"9999999999", "20270101", "0000000001"),
        ] {
            assert_eq!(after(*date, *time), Some((next_date.to_owned(), next_time.to_owned())));
        }
        assert_eq!(after(*b"99991231", *b"2359599999"), None);
    }

    #[test]
    fn sets_the_counter_alone() {
        let time = TimeStamp::new(*b"1204050042").unwrap();
        assert_eq!(counter(&time), 42);
        assert_eq!(with_counter(&time, 9999).unwrap().to_string(), "1204059999");
        assert_eq!(with_counter(&time, 10_000), None);
    }
}
