//! STH.
