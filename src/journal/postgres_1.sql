-- Namespace and account are empty where there is none; otherwise, and before every key, there is an equals sign.
-- Texts cannot hold U+0000 here: it is \0, and a backslash is \\. Times are in milliseconds since 1970.
CREATE TABLE IF NOT EXISTS {table} (
    namespace text COLLATE "C" NOT NULL,
    account text COLLATE "C" NOT NULL,
    send_key text COLLATE "C" NOT NULL,
    revision text COLLATE "C" NOT NULL,
    state text COLLATE "C" NOT NULL,
    changed_at bigint NOT NULL,
    record bytea NOT NULL,
    PRIMARY KEY (namespace, account, send_key)
);
