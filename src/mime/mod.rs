//! RFC 5322 in both directions, for both providers: writing what is to be sent as a stream, and reading headers and
//! text of what came. It sends nothing and knows no vendor.
