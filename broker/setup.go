package broker

// DesktopPool is a [[desktop_pool]]: interchangeable desktops (BR2).
type DesktopPool struct {
	Name string `toml:"name"`
	// Kind is "assigned" (a desktop belongs to its user) or "pooled" (released at logout).
	Kind string `toml:"kind"`
	// Check is what happens before a user is sent to a desktop of the pool (BR3): "dial"
	// (default) tries its port for 500 ms, "none" trusts the inventory.
	Check string `toml:"check"`
}

// Desktop is a [[desktop]] of the static inventory (BR1).
type Desktop struct {
	Name     string `toml:"name"`
	Pool     string `toml:"pool"`
	Host     string `toml:"host"`     // name or address that the client dials
	Port     int    `toml:"port"`     // default by protocol
	Protocol string `toml:"protocol"` // "rdp" (default), "ssh", "vnc"
	// State is "" or "enabled", or "maintenance".
	State string `toml:"state"`
}

// Policy is a [[policy]]: what its users may be offered (BR2). The first policy that matches
// a user counts; a policy without Attribute matches everybody.
type Policy struct {
	Name      string `toml:"name"`
	Attribute string `toml:"attribute"` // directory attribute, e.g. "memberOf"
	Match     string `toml:"match"`     // as redirect.Config.Match
	Value     string `toml:"value"`
	// Pools are the pooled desktop pools that offer a desktop. Desktops assigned to the user
	// are always offered, whatever the policy says.
	Pools     []string `toml:"desktop_pools"`
	MaxOffers int      `toml:"max_offers"` // per pool; default 1, at most 64
}

// Assignment is an [[assignment]]: a user's own desktop.
type Assignment struct {
	User      string `toml:"user"`      // as the directory's canonical user name, lower case
	Directory string `toml:"directory"` // default the first directory; "local" for local users
	Desktop   string `toml:"desktop"`
}

// LocalUser is a [[user]] of the embedded default, for brokers without a directory (LD3).
type LocalUser struct {
	Name string `toml:"name"`
	// Password is an argon2id hash in PHC form, as `switchpoint hash-password` prints it.
	Password string `toml:"password"`
}
