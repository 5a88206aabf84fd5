//! Reason codes: three tables of two digits each. Codes that no table knows are kept as numbers.

use std::fmt;

macro_rules! reason_codes {
    ($(#[$doc:meta])* $name:ident { $($(#[$code_doc:meta])* $constant:ident = $code:literal, $text:literal;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash)]
        pub struct $name(u8);

        impl $name {
            $(
                #[doc = concat!("`", stringify!($code), "`: ", $text, ".")]
                pub const $constant: Self = Self($code);
            )*

            /// Every code of the table.
            pub const ALL: &[Self] = &[$(Self::$constant),*];

            /// The code with this number, known or not; `None` above 99.
            pub const fn from_code(code: u8) -> Option<Self> {
                if code <= 99 { Some(Self(code)) } else { None }
            }

            /// The number, 0 to 99.
            pub const fn code(self) -> u8 {
                self.0
            }

            /// The RFC's words for it.
            pub const fn text(self) -> &'static str {
                match self.0 {
                    $($code => $text,)*
                    _ => "reason unknown to RFC 5024",
                }
            }
        }

        /// `13, duplicate file`.
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:02}, {}", self.0, self.text())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({:02})"), self.0)
            }
        }
    };
}

reason_codes! {
    /// ESIDREAS: why a session ends (RFC 5024 §5.3.11).
    EndSessionReason {
        NORMAL = 0, "normal session termination";
        COMMAND_NOT_RECOGNISED = 1, "command not recognised";
        PROTOCOL_VIOLATION = 2, "protocol violation";
        USER_CODE_NOT_KNOWN = 3, "user code not known";
        INVALID_PASSWORD = 4, "invalid password";
        EMERGENCY_CLOSE_DOWN = 5, "local site emergency close down";
        INVALID_DATA = 6, "command contained invalid data";
        BUFFER_SIZE_ERROR = 7, "Exchange Buffer size error";
        RESOURCES_NOT_AVAILABLE = 8, "resources not available";
        TIME_OUT = 9, "time out";
        INCOMPATIBLE = 10, "mode or capabilities incompatible";
        INVALID_CHALLENGE_RESPONSE = 11, "invalid challenge response";
        AUTHENTICATION_INCOMPATIBLE = 12, "secure authentication requirements incompatible";
        UNSPECIFIED = 99, "unspecified abort code";
    }
}

reason_codes! {
    /// SFNAREAS and EFNAREAS: why a file is refused (RFC 5024 §5.3.5, §5.3.10).
    AnswerReason {
        INVALID_FILENAME = 1, "invalid filename";
        INVALID_DESTINATION = 2, "invalid destination";
        INVALID_ORIGIN = 3, "invalid origin";
        RECORD_FORMAT_NOT_SUPPORTED = 4, "storage record format not supported";
        RECORD_LENGTH_NOT_SUPPORTED = 5, "maximum record length not supported";
        FILE_TOO_BIG = 6, "file size is too big";
        INVALID_RECORD_COUNT = 10, "invalid record count";
        INVALID_BYTE_COUNT = 11, "invalid byte count";
        ACCESS_METHOD_FAILURE = 12, "access method failure";
        DUPLICATE_FILE = 13, "duplicate file";
        FILE_DIRECTION_REFUSED = 14, "file direction refused";
        CIPHER_SUITE_NOT_SUPPORTED = 15, "cipher suite not supported";
        ENCRYPTED_NOT_ALLOWED = 16, "encrypted file not allowed";
        UNENCRYPTED_NOT_ALLOWED = 17, "unencrypted file not allowed";
        COMPRESSION_NOT_ALLOWED = 18, "compression not allowed";
        SIGNED_NOT_ALLOWED = 19, "signed file not allowed";
        UNSIGNED_NOT_ALLOWED = 20, "unsigned file not allowed";
        INVALID_SIGNATURE = 21, "invalid file signature";
        DECRYPTION_FAILURE = 22, "file decryption failure";
        DECOMPRESSION_FAILURE = 23, "file decompression failure";
        UNSPECIFIED = 99, "unspecified reason";
    }
}

impl AnswerReason {
    /// The code to send to a peer of this level: levels 1 and 2 know none from 14 on, level 4 none from 15 on;
    /// they get 99.
    pub const fn at(self, level: crate::Level) -> Self {
        let highest_known = match level {
            crate::Level::V1_2 | crate::Level::V1_3 => 13,
            crate::Level::V1_4 => 14,
            crate::Level::V2_0 => 99,
        };
        if self.0 > highest_known { Self::UNSPECIFIED } else { self }
    }
}

reason_codes! {
    /// NERPREAS: why a file could not be delivered or processed (RFC 5024 §5.3.14). A table of its own.
    NegativeEndReason {
        USER_CODE_NOT_KNOWN = 3, "session refused: user code not known";
        INVALID_PASSWORD = 4, "session refused: invalid password";
        SESSION_UNSPECIFIED = 9, "session refused: unspecified reason";
        INVALID_FILENAME = 11, "file refused: invalid file name";
        INVALID_DESTINATION = 12, "file refused: invalid destination";
        INVALID_ORIGIN = 13, "file refused: invalid origin";
        RECORD_FORMAT_NOT_SUPPORTED = 14, "file refused: invalid storage record format";
        RECORD_LENGTH_NOT_SUPPORTED = 15, "file refused: maximum record length not supported";
        FILE_TOO_BIG = 16, "file refused: file size too big";
        INVALID_RECORD_COUNT = 20, "file refused: invalid record count";
        INVALID_BYTE_COUNT = 21, "file refused: invalid byte count";
        ACCESS_METHOD_FAILURE = 22, "file refused: access method failure";
        DUPLICATE_FILE = 23, "file refused: duplicate file";
        FILE_DIRECTION_REFUSED = 24, "file refused: file direction refused";
        CIPHER_SUITE_NOT_SUPPORTED = 25, "file refused: cipher suite not supported";
        ENCRYPTED_NOT_ALLOWED = 26, "file refused: encrypted file not allowed";
        UNENCRYPTED_NOT_ALLOWED = 27, "file refused: unencrypted file not allowed";
        COMPRESSION_NOT_ALLOWED = 28, "file refused: compression not allowed";
        SIGNED_NOT_ALLOWED = 29, "file refused: signed file not allowed";
        UNSIGNED_NOT_ALLOWED = 30, "file refused: unsigned file not allowed";
        INVALID_SIGNATURE = 31, "file signature not valid";
        DECOMPRESSION_FAILED = 32, "file decompression failed";
        DECRYPTION_FAILED = 33, "file decryption failed";
        PROCESSING_FAILED = 34, "file processing failed";
        NOT_DELIVERED = 35, "not delivered to recipient";
        NOT_ACKNOWLEDGED = 36, "not acknowledged by recipient";
        STOPPED_BY_OPERATOR = 50, "transmission stopped by the operator";
        SIZE_INCOMPATIBLE = 90, "file size incompatible with recipient's protocol version";
        UNSPECIFIED = 99, "unspecified reason";
    }
}
