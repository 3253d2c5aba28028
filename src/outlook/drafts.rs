//! Drafts of Outlook.
