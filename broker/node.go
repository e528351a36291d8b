package broker

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrRemoved says that an operator has removed this broker from the cluster. Its claims and its epoch are
// gone, as with ErrFenced, but nobody has its place: a broker that lives joins again (LV3).
var ErrRemoved = errors.New("removed from the cluster")

// Node is one broker process as it presents itself to the cluster.
type Node struct {
	Name       string
	Datacenter string
	Version    string
	SiteID     int
	Booted     time.Time // last start (PG2)
	// UUID is made once and kept in the state directory: it tells a broker that comes back from
	// another one of the same name. Empty: the name decides.
	UUID string
	IP   string // of the interface that the other brokers and the clients use
	MAC  string // of the same interface
	// Host tells the host that the broker stands on from others; empty: not known.
	Host string
	// Fingerprint is a hash of those settings that all brokers of a cluster must share.
	Fingerprint string
}

// Cluster is what the first broker proposes and all later ones find.
type Cluster struct {
	Name string
	// Secret keys the derivations that every broker must do alike (idempotent tokens).
	Secret [32]byte
	// TicketKey is the seed of the Ed25519 key that signs the cluster's tickets (RD8); all zero in a
	// proposal: it proposes none. A cluster that has none yet takes the first that is proposed.
	TicketKey [32]byte
}

// Membership is the answer to Join: the cluster's own values and this process's place in it.
type Membership struct {
	Cluster Cluster
	SiteID  int
	// Epoch rises with every Join and every removal of the site id; only the newest one counts.
	Epoch int64
}

// NodeStatus is one line of the cluster list. It shows two things apart (DC2): what the job queue
// knows (Status, from heartbeat jobs, minutes) and whether the process lives (Live, from its beat,
// seconds).
type NodeStatus struct {
	Node
	Beat  // the newest one
	Epoch int64

	// ClockOff is how far its clock was ahead of the database's at its newest beat, the way of the beat
	// included, which makes it look late by a little.
	ClockOff time.Duration

	Heartbeat time.Time // newest beat, by the database's clock
	Age       time.Duration
	Live      bool // the newest beat is younger than Liveness, and it has not left
	Stopped   bool // it left by itself

	Status        Status
	Reason        string    // why it is that
	LastHeartbeat time.Time // newest heartbeat job that succeeded; zero for none
	NextHeartbeat time.Time // scheduled time of the next one; zero when there is none
	Missed        int       // heartbeats missed in a row
	Report        string    // what the newest heartbeat job found, one line
}

// ClusterStore is the membership part of a Store.
type ClusterStore interface {
	// Join makes n a member of the cluster and returns what all members share. The first broker
	// of an empty database creates the cluster with the name and secret of its proposal. It
	// fails with ErrConflict when the site id belongs to another broker that lives (its beat is
	// younger than live), when another site id that lives has the same UUID, when the database
	// belongs to a cluster of another name, and when the version does not fit (CheckVersion).
	// The same broker may always rejoin: the epoch rises and fences the earlier process.
	Join(ctx context.Context, n Node, proposal Cluster, live time.Duration) (Membership, error)
	// Heartbeat says that the member lives, and how busy it is; Carries of 0 leaves what was said
	// before. ErrFenced when its epoch is no longer the newest, ErrRemoved when that is because it was
	// removed.
	Heartbeat(ctx context.Context, m Membership, b Beat) error
	// Leave marks the member stopped and cancels its heartbeat job: its site id is free at once.
	Leave(ctx context.Context, m Membership) error
	// Detach is Leave for a broker that goes over to another database (LV1): the jobs that it has
	// ended are deleted; the pending ones, its heartbeat among them, stay assigned to it.
	Detach(ctx context.Context, m Membership) error
	// RecordHeartbeat keeps what the member's heartbeat job found.
	RecordHeartbeat(ctx context.Context, m Membership, report string) error
	// RemoveBroker takes a broker that is stopped or unavailable out of the cluster (PG4): its
	// pending jobs go to all others (LV2), and its epoch rises. ErrConflict with the reason when
	// it is running, ErrNotFound when there is no such broker. The number is that of the jobs.
	RemoveBroker(ctx context.Context, siteID int, log LogRow) (int, error)
	// Brokers lists all members by site id.
	Brokers(ctx context.Context) ([]NodeStatus, error)
}

// Judge fills in what follows from the rows at the moment now of the database.
func (n *NodeStatus) Judge(s Schedule, now time.Time) {
	n.Age = now.Sub(n.Heartbeat)
	n.Live = !n.Stopped && n.Age < Liveness
	n.Status, n.Missed, n.Reason = s.Judge(now)
}

// ClockWrong says whether the broker's clock is so far from the database's that people would wonder.
func (n NodeStatus) ClockWrong() bool { return n.Live && n.ClockOff.Abs() > clockTolerance }

// clockTolerance is more than a beat may be on its way.
const clockTolerance = 5 * time.Second

// CheckHolder says whether n may take the place of holder, which has the same site id or the same
// UUID and was seen age ago: it may when it is the same broker, started again, or when holder has
// been silent for live.
func (n Node) CheckHolder(holder Node, age, live time.Duration) error {
	switch {
	case age >= live:
		return nil
	case n.SiteID != holder.SiteID:
		return fmt.Errorf("%w: this broker has the UUID of broker %q (site id %d), seen %s ago; its state directory is a copy: remove the file with the UUID and start again",
			ErrConflict, holder.Name, holder.SiteID, age)
	case n.UUID != "" && holder.UUID != "":
		if n.UUID == holder.UUID {
			return nil
		}
	case n.Name == holder.Name:
		return nil
	}
	return fmt.Errorf("%w: site id %d is in use by broker %q, seen %s ago; give this broker another site_id", ErrConflict, n.SiteID, holder.Name, age)
}
