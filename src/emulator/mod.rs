//! Google and Microsoft on 127.0.0.1.
