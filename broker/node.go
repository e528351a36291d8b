package broker

import "time"

// Node is one broker process as it presents itself to the cluster.
type Node struct {
	Name       string
	Datacenter string
	Version    string
	SiteID     int
	Booted     time.Time // start of the process
}

// Cluster is what the first broker proposes and all later ones find.
type Cluster struct {
	Name string
	// Secret keys the derivations that every broker must do alike (idempotent tokens).
	Secret [32]byte
}

// Membership is the answer to Join: the cluster's own values and this process's place in it.
type Membership struct {
	Cluster Cluster
	SiteID  int
	// Epoch rises with every Join of the site id; only the newest one counts.
	Epoch int64
}

// NodeStatus is one line of the cluster list.
type NodeStatus struct {
	Node
	Epoch     int64
	Heartbeat time.Time // by the database's clock
	Age       time.Duration
	Stopped   bool // it left by itself
}
