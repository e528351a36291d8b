package nodes

import (
	"cmp"
	"net"
	"slices"
	"strconv"
	"time"

	"switchpoint/internal/problem"
)

// Config is [gtm.nodes]. The zero Config is a node alone, which decides alone.
type Config struct {
	// Members are the other GTM nodes, by their [[peer.trust]] names, which are their [node]
	// names. The name of this node is passed over, so that all may share one list.
	Members []string `toml:"members"`
	// Need is how many nodes must see a target down before it counts as down; default: more
	// than half of all nodes. With fewer nodes in touch, all of those.
	Need int `toml:"need"`
	// Anchors are host:port of servers that a healthy node always reaches over TCP. A node that
	// reaches none of them abstains. Without any a node never abstains.
	Anchors []string `toml:"anchors"`
	// Interval is the time between two reports to the others, and between two looks at the
	// anchors; default 1s.
	Interval time.Duration `toml:"interval"`
}

// Bounds.
const (
	DefaultInterval = time.Second
	minInterval     = 100 * time.Millisecond
	maxInterval     = 10 * time.Second
	maxMembers      = 32
	maxAnchors      = 16
)

// WithDefaults returns the configuration with every unset value filled in; c is not changed.
// Need stays 0 where it is not set: it follows the number of nodes.
func (c Config) WithDefaults() Config {
	c.Interval = cmp.Or(c.Interval, DefaultInterval)
	return c
}

// Validate reports every problem of the section, with paths relative to it. Whether the members
// are trusted peers is for the reader of the whole file to say.
func (c Config) Validate() error {
	var l problem.List
	c = c.WithDefaults()
	if len(c.Members) > maxMembers {
		l.Addf("members", "use fewer", "there are %d nodes, at most %d are possible", len(c.Members), maxMembers)
	}
	for i, m := range c.Members {
		path := "members[" + strconv.Itoa(i) + "]"
		if m == "" {
			l.Addf(path, "write the name of a [[peer.trust]]", "the name is empty")
		} else if slices.Index(c.Members, m) < i {
			l.Addf(path, "remove one of them", "%q is listed twice", m)
		}
	}
	if c.Need < 0 || c.Need > len(c.Members)+1 {
		l.Addf("need", "write a number from 1 to that of all nodes, or leave it out for more than half",
			"%d of %d nodes cannot agree", c.Need, len(c.Members)+1)
	}
	if len(c.Anchors) > maxAnchors {
		l.Addf("anchors", "use fewer", "there are %d anchors, at most %d are possible", len(c.Anchors), maxAnchors)
	}
	for i, a := range c.Anchors {
		if !isHostPort(a) {
			l.Addf("anchors["+strconv.Itoa(i)+"]", `write host:port, such as "192.0.2.1:443"`, "%q is not host:port", a)
		}
	}
	if c.Interval < minInterval || c.Interval > maxInterval {
		l.Addf("interval", `write a time from "100ms" to "10s"`, "an interval of %s is not possible", c.Interval)
	}
	return l.Err()
}

func (c Config) equal(other Config) bool {
	return slices.Equal(c.Members, other.Members) && slices.Equal(c.Anchors, other.Anchors) && c.Need == other.Need && c.Interval == other.Interval
}

func isHostPort(s string) bool {
	host, port, err := net.SplitHostPort(s)
	n, errPort := strconv.ParseUint(port, 10, 16)
	return err == nil && errPort == nil && host != "" && n > 0
}

// others are the members without this node.
func (c Config) others(self string) []string {
	return slices.DeleteFunc(slices.Clone(c.Members), func(m string) bool { return m == self })
}

// need is how many of all nodes, this one included, must see a target down.
func (c Config) need(self string) int {
	all := len(c.others(self)) + 1
	if c.Need == 0 {
		return all/2 + 1
	}
	return min(c.Need, all)
}
