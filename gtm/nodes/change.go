package nodes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"switchpoint/gtm/steer"
	"switchpoint/peer"
)

// changeTime is how long Change waits for the other nodes if its caller does not say.
const changeTime = 2 * time.Second

// lostTime is how long it waits at most for a node that is out of touch: an operator in a partition
// should not wait for what is known to be away.
const lostTime = time.Second

// ErrReplaced is a change that another node's change, made at the same moment, has replaced.
var ErrReplaced = errors.New("replaced by another change")

// Ack says whether a node has a version of the operators' document.
type Ack struct {
	Node    string    `json:"node"`
	Has     bool      `json:"has"`
	Version uint64    `json:"version"`       // that it has, as far as is known
	Heard   time.Time `json:"heard"`         // when it was last heard of; zero: never
	Why     string    `json:"why,omitempty"` // it has not
}

// operatorQuestion hands the sender's document over, operatorAnswer the other one's if that is
// newer.
type (
	operatorQuestion struct {
		Document json.RawMessage `json:"document,omitempty"` // none: the sender has none
	}
	operatorAnswer struct {
		Stamp    steer.Stamp     `json:"stamp"`
		Document json.RawMessage `json:"document,omitempty"`
	}
)

// Change makes the next version of the operators' document, keeps it on disk and hands it to the
// other nodes. It answers once all have answered or ctx ends, by default after 2 s, with who has
// it. The others are told later. With an error nothing is changed, except that ErrReplaced comes
// with the document that has replaced the change.
func (n *Nodes) Change(ctx context.Context, change func(*steer.Operator) error) (*steer.Operator, []Ack, error) {
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, changeTime)
		defer cancel()
	}
	next, err := n.write(change)
	if err != nil {
		return nil, nil, fmt.Errorf("change what operators have said: %w", err)
	}
	stamp := next.stamp()
	n.log.Info("operators' document changed here", "version", stamp.Version)
	n.changed()
	acks := n.push(ctx, next)
	if now := n.Operator(); !descends(now, stamp) {
		return now, acks, fmt.Errorf("%w: version %d of %s was made at the same moment and is in force; look at it and say it again",
			ErrReplaced, now.Version, now.Node)
	}
	return next.operator, acks, nil
}

// write puts the next version on disk and in force.
func (n *Nodes) write(change func(*steer.Operator) error) (*document, error) {
	n.writing.Lock()
	defer n.writing.Unlock()
	o, err := successor(n.Operator(), n.o.Name, time.Now(), change)
	if err != nil {
		return nil, err
	}
	next, err := encodeDocument(o)
	if err != nil {
		return nil, err
	}
	if err := keep(n.o.StateDir, next); err != nil {
		return nil, err
	}
	n.document.Store(next)
	return next, nil
}

// push hands a document to all other nodes and collects who has it.
func (n *Nodes) push(ctx context.Context, d *document) []Ack {
	n.mu.Lock()
	members := n.members
	live := make([]bool, len(members))
	for i, m := range members {
		live[i] = m.live(time.Now(), n.config.Interval)
	}
	n.mu.Unlock()
	acks := make([]Ack, len(members))
	var group sync.WaitGroup
	for i, m := range members {
		patience := changeTime
		if until, bounded := ctx.Deadline(); bounded {
			patience = time.Until(until)
		}
		if !live[i] {
			patience = min(patience, lostTime)
		}
		group.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, patience)
			defer cancel()
			err := n.hand(ctx, m, d)
			n.mu.Lock()
			defer n.mu.Unlock()
			acks[i] = Ack{Node: m.name, Version: m.told.Version, Heard: m.heard}
			switch {
			case err == nil && m.has(d.operator.Stamp(), n.Operator()):
				acks[i].Has = true
			case err == nil:
				acks[i].Why = fmt.Sprintf("it has version %d of %s", m.told.Version, m.told.Node)
			case ctx.Err() != nil:
				acks[i].Why = "no answer in time; it will be told as soon as it can be reached"
			default:
				acks[i].Why = err.Error()
			}
		})
	}
	group.Wait()
	return acks
}

// has says whether the node has a version, or one that came after it. now is the newest document.
func (m *member) has(s steer.Stamp, now *steer.Operator) bool {
	return m.told == s || m.told == now.Stamp() && descends(now, s)
}

// synchronise brings a node that has another version of the document, and this one, to the newer
// of both.
func (n *Nodes) synchronise(ctx context.Context, m *member, has steer.Stamp, interval time.Duration) error {
	if !legibleStamp(has) {
		return fmt.Errorf("%s answers with a version of its document that is none", m.name)
	}
	n.mu.Lock()
	m.told = has
	n.mu.Unlock()
	d := n.document.Load()
	if has == d.stamp() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, callTime(interval))
	defer cancel()
	return n.hand(ctx, m, d)
}

// hand gives a document to a node and takes its own if that is newer.
func (n *Nodes) hand(ctx context.Context, m *member, d *document) error {
	body, err := json.Marshal(operatorQuestion{d.raw})
	if err != nil {
		return fmt.Errorf("encode the operators' document: %w", err)
	}
	var answer operatorAnswer
	if err := n.ask(ctx, m.name, methodOperator, body, &answer); err != nil {
		return err
	}
	if !legibleStamp(answer.Stamp) {
		return fmt.Errorf("%s answers with a version of its document that is none", m.name)
	}
	n.mu.Lock()
	m.told = answer.Stamp
	n.mu.Unlock()
	if len(answer.Document) == 0 {
		return nil
	}
	theirs, err := decodeDocument(answer.Document)
	if err != nil {
		return fmt.Errorf("from %s: %s", m.name, brief(err))
	}
	return n.adopt(theirs, m.name)
}

// takeOperator is what another node calls to hand its document over.
func (n *Nodes) takeOperator(_ context.Context, trust peer.Trust, body []byte) ([]byte, error) {
	n.mu.Lock()
	m, err := n.from(trust)
	n.mu.Unlock()
	if err != nil {
		return nil, err
	}
	var q operatorQuestion
	if err := json.Unmarshal(body, &q); err != nil {
		return nil, &peer.RemoteError{Code: peer.CodeBadRequest, Text: "not an operators' document: " + err.Error()}
	}
	var theirs steer.Stamp
	if len(q.Document) > 0 {
		d, err := decodeDocument(q.Document)
		code := peer.CodeBadRequest
		if err == nil {
			err, code = n.adopt(d, m.name), peer.CodeInternal
		}
		n.refused(m, err)
		if err != nil {
			return nil, &peer.RemoteError{Code: code, Text: err.Error()}
		}
		theirs = d.stamp()
		n.mu.Lock()
		m.told = theirs
		n.mu.Unlock()
	}
	now := n.document.Load()
	answer := operatorAnswer{Stamp: now.stamp()}
	if now.stamp().Newer(theirs) {
		answer.Document = now.raw
	}
	return json.Marshal(answer)
}

// refused logs why a document of another node is not taken over, when that changes: it comes again
// with every report.
func (n *Nodes) refused(m *member, err error) {
	why := ""
	if err != nil {
		why = brief(err)
	}
	n.mu.Lock()
	was := m.refused
	m.refused = why
	n.mu.Unlock()
	if why != "" && why != was {
		n.log.Warn("operators' document refused", "from", m.name, "err", why)
	}
}

// brief is an error that stays readable, however many faults a document has.
func brief(err error) string {
	const most = 500
	text := err.Error()
	if len(text) > most {
		text = short(text, most) + "..."
	}
	return text
}

// adopt puts a document of another node on disk and in force if it is newer than the one that is.
// What one of both says that the other was not made from is lost, and logged.
func (n *Nodes) adopt(theirs *document, from string) error {
	n.writing.Lock()
	defer n.writing.Unlock()
	now := n.document.Load()
	if theirs.stamp() == now.stamp() {
		return nil
	}
	if !theirs.operator.Newer(now.operator) {
		n.mourn(theirs.operator, now.operator)
		return nil
	}
	if ahead := theirs.operator.Version - now.operator.Version; ahead > maxAhead {
		return fmt.Errorf("version %d of %s is too far ahead of version %d here to be of operators: stop every node that has it, remove its %s and start it again",
			theirs.operator.Version, theirs.operator.Node, now.operator.Version, documentFile)
	}
	if err := keep(n.o.StateDir, theirs); err != nil {
		return err // both ends get to know it, with every report again
	}
	n.document.Store(theirs)
	n.log.Info("operators' document taken over", "from", from, "version", theirs.operator.Version, "made_by", theirs.operator.Node)
	n.mourn(now.operator, theirs.operator)
	n.changed()
	return nil
}

// mourn warns, once, of what operators said in a document that another one replaces. n.writing is
// held.
func (n *Nodes) mourn(loser, winner *steer.Operator) {
	if descends(winner, loser.Stamp()) || n.mourned == loser.Stamp() {
		return
	}
	n.mourned = loser.Stamp()
	what := lost(loser, winner)
	if len(what) == 0 {
		return
	}
	n.log.Warn("what operators said was replaced: say it again if it is still meant", "lost", strings.Join(what, "; "),
		"version", loser.Version, "made_by", loser.Node, "replaced_by", winner.Version, "replaced_by_node", winner.Node)
}
