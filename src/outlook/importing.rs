//! Putting messages that exist elsewhere into an Outlook mailbox.
