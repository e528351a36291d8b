package nodes

import "time"

// NodeStatus is what is known of another node.
type NodeStatus struct {
	Name    string    `json:"name"`
	InTouch bool      `json:"in_touch"`
	Heard   time.Time `json:"heard"`             // when it last called or answered; zero: never
	Trouble string    `json:"trouble,omitempty"` // why it cannot be told
	// Lag is since when it lacks something, 0 where it knows everything that this node does.
	Lag      time.Duration `json:"lag"`
	Sent     uint64        `json:"sent"`     // entries, to it
	Received uint64        `json:"received"` // entries, from it
}

// Show tells of the other nodes, in the order of the configuration.
func (n *Nodes) Show() []NodeStatus {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := time.Now()
	out := make([]NodeStatus, len(n.members))
	for i, m := range n.members {
		out[i] = NodeStatus{
			Name: m.name, InTouch: m.live(now), Heard: m.heard, Trouble: m.trouble, Sent: m.sent, Received: m.received,
			Lag: m.lag(now),
		}
	}
	return out
}

// lag is how long ago a node was told everything, but for the time between two messages.
func (m *member) lag(now time.Time) time.Duration {
	if lag := now.Sub(m.equal); lag > beat+batch {
		return lag
	}
	return 0
}
