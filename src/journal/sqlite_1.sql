-- Namespace and account are empty where there is none; otherwise, and before every key, there is an equals sign.
CREATE TABLE IF NOT EXISTS {table} (
    namespace TEXT NOT NULL,
    account TEXT NOT NULL,
    send_key TEXT NOT NULL,
    revision TEXT NOT NULL,
    state TEXT NOT NULL,
    changed_at INTEGER NOT NULL,
    record TEXT NOT NULL,
    PRIMARY KEY (namespace, account, send_key)
) STRICT;
