//! What a machine says, what a preset wishes, and whether the one is the other.

use std::fmt;

use super::machine::{chosen, effective};

/// The shape of a setting's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// `212992`
    Number,
    /// `4096 131072 6291456`: least, default, most
    Triple,
    /// `cubic`, or one of several with brackets around it
    Word,
    /// `fpu vme aes`
    Set,
    /// `6.18.44-generic`
    Release,
}

/// A value of a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    Number(u64),
    Triple(Vec<u64>),
    Word(String),
    Set(Vec<String>),
    Release(String),
}

/// What a preset wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// Numbers, each at least so much.
    AtLeast(Vec<u64>),
    AtMost(u64),
    Equals(u64),
    /// The first is the best.
    OneOf(Vec<String>),
    Includes(Vec<String>),
    Lacks(Vec<String>),
    /// A release of the kernel.
    Since(String),
}

impl Value {
    /// Reads what the kernel wrote; `None` if it is of another shape.
    pub fn parse(shape: Shape, text: &str) -> Option<Self> {
        let words = || text.split_whitespace();
        match shape {
            Shape::Number => text.trim().parse().ok().map(Self::Number),
            Shape::Triple => {
                let numbers: Vec<u64> = words().map(|word| word.parse().ok()).collect::<Option<_>>()?;
                (numbers.len() == 3).then_some(Self::Triple(numbers))
            }
            Shape::Word => {
                let word = effective(text);
                (!word.is_empty() && !word.contains(' ')).then_some(Self::Word(word))
            }
            Shape::Set => Some(Self::Set(words().map(str::to_owned).collect())),
            Shape::Release => release(text).map(|_| Self::Release(text.trim().to_owned())),
        }
    }
}

impl Wish {
    /// Whether a value of this shape can be compared with it.
    pub fn fits(&self, shape: Shape) -> bool {
        match self {
            Self::AtLeast(numbers) => match shape {
                Shape::Number => numbers.len() == 1,
                Shape::Triple => numbers.len() == 3,
                _ => false,
            },
            Self::AtMost(_) | Self::Equals(_) => shape == Shape::Number,
            Self::OneOf(_) => shape == Shape::Word,
            Self::Includes(_) | Self::Lacks(_) => shape == Shape::Set,
            Self::Since(_) => shape == Shape::Release,
        }
    }

    /// Whether the value is as it is wished.
    pub fn holds(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::AtLeast(wanted), Value::Number(number)) => wanted.iter().all(|wanted| number >= wanted),
            (Self::AtLeast(wanted), Value::Triple(numbers)) => {
                numbers.iter().zip(wanted).all(|(number, wanted)| number >= wanted)
            }
            (Self::AtMost(most), Value::Number(number)) => number <= most,
            (Self::Equals(wanted), Value::Number(number)) => number == wanted,
            (Self::OneOf(words), Value::Word(word)) => words.contains(word),
            (Self::Includes(words), Value::Set(set)) => words.iter().all(|word| set.contains(word)),
            (Self::Lacks(words), Value::Set(set)) => !words.iter().any(|word| set.contains(word)),
            (Self::Since(wanted), Value::Release(found)) => release(found) >= release(wanted),
            _ => false,
        }
    }

    /// What a person would set.
    pub fn value(&self) -> String {
        match self {
            Self::AtLeast(numbers) => spaced(numbers),
            Self::AtMost(number) | Self::Equals(number) => number.to_string(),
            Self::OneOf(words) => words.first().cloned().unwrap_or_default(),
            Self::Includes(words) | Self::Lacks(words) => words.join(" "),
            Self::Since(release) => release.clone(),
        }
    }

    /// What to write instead of `text`, so that it holds. `offered`: the words that the kernel takes, if it tells.
    ///
    /// # Errors
    ///
    /// What the kernel lacks.
    pub fn target(&self, text: &str, offered: Option<&[String]>) -> Result<String, String> {
        match self {
            Self::AtLeast(wanted) => {
                let now = text.split_whitespace().map(|word| word.parse().unwrap_or(0));
                let numbers: Vec<String> =
                    now.zip(wanted).map(|(now, wanted): (u64, &u64)| now.max(*wanted).to_string()).collect();
                Ok(numbers.join("\t"))
            }
            Self::AtMost(number) | Self::Equals(number) => Ok(number.to_string()),
            Self::OneOf(words) => {
                let in_brackets = chosen(text)
                    .is_some()
                    .then(|| text.split_whitespace().map(|word| word.replace(['[', ']'], "")).collect());
                let offered: Option<Vec<String>> = offered.map(<[String]>::to_vec).or(in_brackets);
                let best = match &offered {
                    Some(offered) => words.iter().find(|word| offered.contains(word)),
                    None => words.first(),
                };
                best.cloned().ok_or_else(|| {
                    format!("this kernel offers only {}", offered.unwrap_or_default().join(", "))
                })
            }
            Self::Includes(_) | Self::Lacks(_) | Self::Since(_) => Err("no file changes it".to_owned()),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(u64::MAX) => f.write_str("unlimited"),
            Self::Number(number) => write!(f, "{number}"),
            Self::Triple(numbers) => f.write_str(&spaced(numbers)),
            Self::Word(text) | Self::Release(text) => f.write_str(text),
            Self::Set(words) => f.write_str(&words.join(" ")),
        }
    }
}

impl fmt::Display for Wish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(numbers) => write!(f, "at least {}", spaced(numbers)),
            Self::AtMost(number) => write!(f, "at most {number}"),
            Self::Equals(number) => write!(f, "{number}"),
            Self::OneOf(words) => f.write_str(&words.join(" or ")),
            Self::Includes(words) => f.write_str(&words.join(" ")),
            Self::Lacks(words) => write!(f, "without {}", words.join(", ")),
            Self::Since(release) => write!(f, "{release} or newer"),
        }
    }
}

fn spaced(numbers: &[u64]) -> String {
    numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

/// `6.18.44-generic` is (6, 18, 44).
pub fn release(text: &str) -> Option<(u32, u32, u32)> {
    let mut parts = text.trim().split(|c: char| !c.is_ascii_digit()).map_while(|part| part.parse().ok());
    Some((parts.next()?, parts.next()?, parts.next().unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(list: &[&str]) -> Vec<String> {
        list.iter().map(|&word| word.to_owned()).collect()
    }

    #[test]
    fn both_sides_of_every_boundary() {
        let number = Value::Number;
        for (wish, value, holds) in [
            (Wish::AtLeast(vec![10]), number(10), true),
            (Wish::AtLeast(vec![10]), number(9), false),
            (Wish::AtMost(10), number(10), true),
            (Wish::AtMost(10), number(11), false),
            (Wish::Equals(0), number(0), true),
            (Wish::Equals(0), number(1), false),
            (Wish::AtLeast(vec![1, 2, 3]), Value::Triple(vec![1, 2, 3]), true),
            (Wish::AtLeast(vec![1, 2, 4]), Value::Triple(vec![9, 9, 3]), false),
            (Wish::OneOf(words(&["bbr", "cubic"])), Value::Word("cubic".to_owned()), true),
            (Wish::OneOf(words(&["bbr"])), Value::Word("cubic".to_owned()), false),
            (Wish::Includes(words(&["aes"])), Value::Set(words(&["aes", "vaes"])), true),
            (Wish::Includes(words(&["aes", "vaes"])), Value::Set(words(&["aes"])), false),
            (Wish::Lacks(words(&["sync"])), Value::Set(words(&["rw", "relatime"])), true),
            (Wish::Lacks(words(&["sync"])), Value::Set(words(&["rw", "sync"])), false),
            (Wish::Since("6.0".to_owned()), Value::Release("6.0.0-1".to_owned()), true),
            (Wish::Since("6.0".to_owned()), Value::Release("5.19.17".to_owned()), false),
            (Wish::Since("6.9".to_owned()), Value::Release("6.18".to_owned()), true),
        ] {
            assert_eq!(wish.holds(&value), holds, "{wish:?} {value:?}");
        }
    }

    #[test]
    fn what_is_more_than_enough_is_not_made_less() {
        let wish = Wish::AtLeast(vec![4096, 131_072, 67_108_864]);
        assert_eq!(wish.target("8192\t87380\t6291456\n", None), Ok("8192\t131072\t67108864".to_owned()));
    }

    #[test]
    fn only_what_the_kernel_offers_is_chosen() {
        let wish = Wish::OneOf(words(&["none", "mq-deadline"]));
        assert_eq!(wish.target("[bfq] mq-deadline\n", None), Ok("mq-deadline".to_owned()));
        assert_eq!(wish.target("[bfq] kyber\n", None), Err("this kernel offers only bfq, kyber".to_owned()));
        assert_eq!(wish.target("bfq\n", None), Ok("none".to_owned()));
        assert!(wish.target("bfq\n", Some(&words(&["bfq"]))).is_err());
    }

    #[test]
    fn what_is_of_another_shape_is_no_value() {
        assert_eq!(Value::parse(Shape::Number, "-1\n"), None);
        assert_eq!(Value::parse(Shape::Number, "\n"), None);
        assert_eq!(Value::parse(Shape::Triple, "1 2"), None);
        assert_eq!(Value::parse(Shape::Release, "unknown"), None);
        assert_eq!(Value::parse(Shape::Word, "a b"), None);
        assert_eq!(Value::parse(Shape::Word, "a [b]"), Some(Value::Word("b".to_owned())));
    }
}
