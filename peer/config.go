package peer

// Config is the [peer] section: processes that trust each other (design 9).
type Config struct {
	Listen string  `toml:"listen"` // ip:port; empty: this process only asks
	Trust  []Trust `toml:"trust"`
}

// Trust is one pinned peer.
type Trust struct {
	Name    string `toml:"name"`
	Cluster string `toml:"cluster"`
	Key     string `toml:"key"`     // base64 of its Ed25519 public key, as `switchpoint peer key` prints it
	Address string `toml:"address"` // ip:port of its [peer] listen; empty: it only asks us
}
