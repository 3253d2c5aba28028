//! Who an Outlook mailbox may write as.
