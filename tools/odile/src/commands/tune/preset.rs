//! Presets: what kinds of machines should be like. Files of `tuning/presets`, which the program has in it, or of
//! the person's own.
//!
//! ```toml
//! about = "Machines on one 25 Gbit/s network"
//!
//! [wants]
//! "net.core.somaxconn" = { at_least = 1024 }
//! "net.ipv4.tcp_rmem" = { at_least = [4096, 131072, 33554432], why = "…" }
//! ```
//!
//! A wish is one of `at_least`, `at_most`, `equals` (numbers, or one word), `one_of`, `includes`, `lacks` (lists of
//! words) and `since` (a release).

use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::setting::{SETTINGS, Setting};
use super::value::{Wish, release};
use crate::exit::Failure;

/// What a kind of machine should be like.
#[derive(Debug)]
pub struct Preset {
    pub name: String,
    pub about: String,
    /// In the order of [`SETTINGS`].
    pub wants: Vec<Want>,
}

/// One wish of a preset.
#[derive(Debug, Clone)]
pub struct Want {
    pub setting: &'static Setting,
    pub wish: Wish,
    /// Why this value, if the preset says more than the setting does.
    pub why: Option<String>,
}

/// The presets that the program has in it.
pub const EMBEDDED: &[(&str, &str)] = &[
    ("lan-25g", include_str!("../../../../../tuning/presets/lan-25g.toml")),
    ("lan-100g", include_str!("../../../../../tuning/presets/lan-100g.toml")),
    ("wan-100ms", include_str!("../../../../../tuning/presets/wan-100ms.toml")),
    ("small-vm", include_str!("../../../../../tuning/presets/small-vm.toml")),
];

impl Preset {
    /// One of ours by its name, or a file: what has a slash or ends with `.toml`.
    pub fn load(name: &str) -> Result<Self, Failure> {
        if let Some((name, text)) = EMBEDDED.iter().find(|(known, _)| *known == name) {
            return Self::parse(name, name, text);
        }
        if !name.contains('/') && Path::new(name).extension().is_none_or(|ending| ending != "toml") {
            let known: Vec<&str> = EMBEDDED.iter().map(|(name, _)| *name).collect();
            return Err(Failure::usage(format!(
                "there is no preset {name:?}; known: {}; a file of yours is ./NAME.toml",
                known.join(", ")
            )));
        }
        let text = std::fs::read_to_string(name)
            .map_err(|error| Failure::usage(format!("--preset {name}: {error}")))?;
        Self::parse(name, name, &text)
    }

    /// Reads a preset. `file` is how mistakes call it.
    pub fn parse(name: &str, file: &str, text: &str) -> Result<Self, Failure> {
        let place = Place { file, text };
        let document = DeTable::parse(text).map_err(|error| {
            let start = error.span().map_or(0, |span| span.start);
            place.mistake(start, error.message())
        })?;
        let mut about = None;
        let mut wants = Vec::new();
        for (key, value) in document.get_ref() {
            match key.get_ref().as_ref() {
                "about" => about = Some(place.word("about", value)?),
                "wants" => wants = place.wants(value)?,
                other => {
                    let text = format!("{other}: there is no such key; known: about, wants");
                    return Err(place.mistake(key.span().start, &text));
                }
            }
        }
        if wants.is_empty() {
            return Err(Failure::usage(format!(
                "{file}: [wants] is missing or empty: it says what is wanted"
            )));
        }
        wants.sort_by_key(|want| SETTINGS.iter().position(|setting| setting.name == want.setting.name));
        Ok(Self { name: name.to_owned(), about: about.unwrap_or_default(), wants })
    }

    /// What is wanted of this setting.
    #[cfg(test)]
    fn wish(&self, name: &str) -> Option<&Wish> {
        self.wants.iter().find(|want| want.setting.name == name).map(|want| &want.wish)
    }
}

/// Where a mistake may be.
#[derive(Clone, Copy)]
struct Place<'a> {
    file: &'a str,
    text: &'a str,
}

impl Place<'_> {
    fn mistake(self, at: usize, text: &str) -> Failure {
        let line = self.text.get(..at).unwrap_or(self.text).matches('\n').count() + 1;
        Failure::usage(format!("{}, line {line}: {text}", self.file))
    }

    fn wants(self, value: &Spanned<DeValue<'_>>) -> Result<Vec<Want>, Failure> {
        let table = value.get_ref().as_table().ok_or_else(|| self.wrong("wants", "a table", value))?;
        table.iter().map(|(key, value)| self.want(key, value)).collect()
    }

    fn want(
        self,
        key: &Spanned<std::borrow::Cow<'_, str>>,
        value: &Spanned<DeValue<'_>>,
    ) -> Result<Want, Failure> {
        let name = key.get_ref().as_ref();
        let setting = Setting::named(name).ok_or_else(|| {
            let text =
                format!("{name}: there is no such setting (names with dots need quotes); known: {}", known());
            self.mistake(key.span().start, &text)
        })?;
        let table = value
            .get_ref()
            .as_table()
            .ok_or_else(|| self.wrong(name, "a wish, such as { at_least = 1024 }", value))?;
        let (mut wish, mut why) = (None, None);
        for (key, value) in table {
            let word = key.get_ref().as_ref();
            let shown = format!("{name}.{word}");
            if word == "why" {
                why = Some(self.word(&shown, value)?);
                continue;
            }
            let found = self.wish(word, &shown, value)?.ok_or_else(|| {
                self.mistake(
                    key.span().start,
                    &format!("{shown}: there is no such key; known: {WISHES}, why"),
                )
            })?;
            if !found.fits(setting.shape) {
                let text = format!("{shown}: {name} cannot be compared with that: it is {}", shape(setting));
                return Err(self.mistake(key.span().start, &text));
            }
            if wish.replace(found).is_some() {
                return Err(self.mistake(key.span().start, &format!("{shown}: only one wish is possible")));
            }
        }
        let wish = wish.ok_or_else(|| {
            self.mistake(key.span().start, &format!("{name}: it says nothing: give one of {WISHES}"))
        })?;
        Ok(Want { setting, wish, why })
    }

    /// `None`: there is no such kind of wish.
    fn wish(self, word: &str, key: &str, value: &Spanned<DeValue<'_>>) -> Result<Option<Wish>, Failure> {
        Ok(Some(match word {
            "at_least" => match value.get_ref().as_array() {
                Some(list) => {
                    Wish::AtLeast(list.iter().map(|value| self.number(key, value)).collect::<Result<_, _>>()?)
                }
                None => Wish::AtLeast(vec![self.number(key, value)?]),
            },
            "at_most" => Wish::AtMost(self.number(key, value)?),
            "equals" if value.get_ref().is_str() => Wish::OneOf(vec![self.word(key, value)?]),
            "equals" => Wish::Equals(self.number(key, value)?),
            "one_of" => Wish::OneOf(self.words(key, value)?),
            "includes" => Wish::Includes(self.words(key, value)?),
            "lacks" => Wish::Lacks(self.words(key, value)?),
            "since" => {
                let text = self.word(key, value)?;
                release(&text).ok_or_else(|| self.wrong(key, "a release, such as \"6.0\"", value))?;
                Wish::Since(text)
            }
            _ => return Ok(None),
        }))
    }

    fn number(self, key: &str, value: &Spanned<DeValue<'_>>) -> Result<u64, Failure> {
        let number = value.get_ref().as_integer();
        number
            .and_then(|number| u64::from_str_radix(number.as_str(), number.radix()).ok())
            .ok_or_else(|| self.wrong(key, "a number from 0 up", value))
    }

    fn word(self, key: &str, value: &Spanned<DeValue<'_>>) -> Result<String, Failure> {
        value.get_ref().as_str().map(str::to_owned).ok_or_else(|| self.wrong(key, "a text in quotes", value))
    }

    fn words(self, key: &str, value: &Spanned<DeValue<'_>>) -> Result<Vec<String>, Failure> {
        let list = value.get_ref().as_array().filter(|list| !list.is_empty());
        let list = list.ok_or_else(|| self.wrong(key, "a list of words", value))?;
        list.iter().map(|value| self.word(key, value)).collect()
    }

    fn wrong(self, key: &str, wanted: &str, value: &Spanned<DeValue<'_>>) -> Failure {
        let found = value.get_ref().type_str();
        self.mistake(value.span().start, &format!("{key}: it must be {wanted}, and is of type {found}"))
    }
}

fn known() -> String {
    SETTINGS.iter().map(|setting| setting.name).collect::<Vec<_>>().join(", ")
}

fn shape(setting: &Setting) -> &'static str {
    use super::value::Shape;
    match setting.shape {
        Shape::Number => "a number (at_least, at_most, equals)",
        Shape::Triple => "three numbers (at_least = [1, 2, 3])",
        Shape::Word => "a word (equals, one_of)",
        Shape::Set => "a list of words (includes, lacks)",
        Shape::Release => "a release (since)",
    }
}

const WISHES: &str = "at_least, at_most, equals, one_of, includes, lacks, since";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_embedded_preset_can_be_read_and_says_what_it_is_for() {
        for (name, text) in EMBEDDED {
            let preset = Preset::parse(name, name, text).unwrap();
            assert!(!preset.about.is_empty(), "{name}");
            assert!(preset.wish("kernel.release").is_some(), "{name}");
            for want in &preset.wants {
                assert!(want.wish.fits(want.setting.shape), "{name}: {}", want.setting.name);
            }
        }
    }

    #[test]
    fn a_mistake_is_told_with_its_file_line_and_key() {
        for (text, expected) in [
            ("abuot = \"x\"\n", "mine.toml, line 1: abuot: there is no such key"),
            (
                "[wants]\n\n\"net.core.rmem\" = { at_least = 1 }\n",
                "line 3: net.core.rmem: there is no such setting",
            ),
            ("[wants]\nnet.core.somaxconn = { at_least = 1 }\n", "line 2: net: there is no such setting"),
            ("[wants]\n\"net.core.somaxconn\" = 5\n", "line 2: net.core.somaxconn: it must be a wish"),
            (
                "[wants]\n\"net.core.somaxconn\" = { at_least = \"5\" }\n",
                "line 2: net.core.somaxconn.at_least: it must be a number from 0 up, and is of type string",
            ),
            ("[wants]\n\"net.core.somaxconn\" = { at_least = -5 }\n", "must be a number from 0 up"),
            ("[wants]\n\"net.core.somaxconn\" = { one_of = [\"a\"] }\n", "cannot be compared with that"),
            ("[wants]\n\"net.ipv4.tcp_rmem\" = { at_least = [1, 2] }\n", "it is three numbers"),
            (
                "[wants]\n\"net.core.somaxconn\" = { why = \"x\" }\n",
                "line 2: net.core.somaxconn: it says nothing",
            ),
            (
                "[wants]\n\"net.core.somaxconn\" = { at_least = 1, at_most = 2 }\n",
                "only one wish is possible",
            ),
            ("[wants]\n\"kernel.release\" = { since = \"new\" }\n", "must be a release"),
            ("about = \n", "mine.toml, line 1: "),
            ("about = \"x\"\n", "[wants] is missing or empty"),
        ] {
            let failure = Preset::parse("mine", "mine.toml", text).unwrap_err();
            assert!(failure.text.contains(expected), "{text:?}: {}", failure.text);
            assert!(failure.text.starts_with("mine.toml"), "{}", failure.text);
        }
    }

    #[test]
    fn numbers_may_be_written_in_any_way_that_toml_knows() {
        let text = "[wants]\n\"net.core.rmem_max\" = { at_least = 0x1000 }\n\"net.core.wmem_max\" = { at_most = 1_000 }";
        let preset = Preset::parse("mine", "mine.toml", text).unwrap();
        assert_eq!(preset.wish("net.core.rmem_max"), Some(&Wish::AtLeast(vec![4096])));
        assert_eq!(preset.wish("net.core.wmem_max"), Some(&Wish::AtMost(1000)));
    }
}
