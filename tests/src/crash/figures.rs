//! Figures of which the middle, the edge and the worst are told.

use serde_json::{Value, json};

/// Median, 95th percentile and largest of some figures; none without a figure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// How many there are.
    pub count: usize,
    /// Half of them are not larger.
    pub median: f64,
    /// 95 of 100 are not larger.
    pub p95: f64,
    /// The largest.
    pub max: f64,
}

impl Spread {
    /// Of these figures, by nearest rank.
    pub fn of(figures: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = figures.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let rank = |percent: usize| {
            let rank = (sorted.len() * percent).div_ceil(100).max(1);
            sorted.get(rank - 1).copied()
        };
        Some(Self { count: sorted.len(), median: rank(50)?, p95: rank(95)?, max: *sorted.last()? })
    }

    /// For programs.
    pub fn json(spread: Option<Self>) -> Value {
        match spread {
            Some(Self { count, median, p95, max }) => {
                json!({ "count": count, "median": median, "p95": p95, "max": max })
            }
            None => Value::Null,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_the_nearest() {
        let spread = |last: u8| Spread::of((1..=last).rev().map(f64::from));
        assert_eq!(spread(0), None);
        assert_eq!(spread(1), Some(Spread { count: 1, median: 1.0, p95: 1.0, max: 1.0 }));
        assert_eq!(spread(20), Some(Spread { count: 20, median: 10.0, p95: 19.0, max: 20.0 }));
        assert_eq!(spread(21), Some(Spread { count: 21, median: 11.0, p95: 20.0, max: 21.0 }));
        assert_eq!(spread(100), Some(Spread { count: 100, median: 50.0, p95: 95.0, max: 100.0 }));
    }
}
