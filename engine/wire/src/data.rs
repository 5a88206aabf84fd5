//! DATA.
