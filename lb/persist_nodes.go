package lb

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"switchpoint/internal/keptfile"
	"switchpoint/lb/nodes"
	"switchpoint/lb/stick"
	"switchpoint/peer"
)

// cookieFile holds the secret that signs cookies where no persistence_secret is configured.
const cookieFile = "lb-cookies.key"

// newPersistence makes what persistence needs for the life of the process: the table, the secret
// for cookies, and the exchange with other nodes.
func (p *Proxy) newPersistence(o Options) error {
	var journal *stick.Journal
	if o.Call != nil {
		journal = stick.NewJournal(nodes.Journaled)
	}
	p.sticks = stick.New(maxStick, journal)
	var err error
	if p.cookieSecret, err = readCookieSecret(o.StateDir); err != nil {
		return err
	}
	p.nodes, err = nodes.New(nodes.Options{
		Name: o.Node, Table: p.sticks, Journal: journal, Call: o.Call,
		Clock:  func() time.Duration { return time.Duration(p.now()) },
		NameOf: p.memberOf, IDOf: p.idOf, Words: p.WordBytes, Adopt: p.AdoptWords,
		Log: o.Log, Metrics: o.Metrics,
	})
	return err
}

// readCookieSecret gives the process's own secret, which is made at the first start.
func readCookieSecret(dir string) ([]byte, error) {
	var key []byte
	if dir != "" {
		err := keptfile.Read(dir, cookieFile, minPersistenceSecret, func(b []byte) error {
			if len(b) != minPersistenceSecret {
				return fmt.Errorf("it has %d bytes, not %d", len(b), minPersistenceSecret)
			}
			key = b
			return nil
		})
		if err != nil && !errors.Is(err, keptfile.ErrSetAside) {
			return nil, fmt.Errorf("lb: the secret for cookies: %w", err)
		}
	}
	if key != nil {
		return key, nil
	}
	key = make([]byte, minPersistenceSecret)
	rand.Read(key) // never fails (crypto/rand)
	if dir == "" {
		return key, nil
	}
	if err := keptfile.Write(dir, cookieFile, key); err != nil {
		return nil, fmt.Errorf("lb: the secret for cookies: %w", err)
	}
	return key, nil
}

// Handlers are the methods that other lb nodes may call (peer.Node.Handle).
func (p *Proxy) Handlers() map[string]peer.Handler { return p.nodes.Handlers() }

// TellNodes hands what operators have said to the other lb nodes at once, and says who has it.
func (p *Proxy) TellNodes(ctx context.Context) []nodes.Ack { return p.nodes.Tell(ctx) }

// Nodes tells of the other lb nodes.
func (p *Proxy) Nodes() []nodes.NodeStatus { return p.nodes.Show() }

// memberOf names a member by its id.
func (p *Proxy) memberOf(id uint32) (nodes.Member, bool) {
	if live := p.live.Load(); live != nil {
		for _, lp := range live.pools {
			if i := lp.indexOf(id); i >= 0 {
				return nodes.Member{Pool: lp.name, Address: lp.members[i].address}, true
			}
		}
	}
	return nodes.Member{}, false
}

// idOf is the other way round.
func (p *Proxy) idOf(m nodes.Member) (uint32, bool) {
	if live := p.live.Load(); live != nil {
		for _, lp := range live.pools {
			for i := range lp.members {
				if lp.name == m.Pool && lp.members[i].address == m.Address {
					return lp.ups[i].id, true
				}
			}
		}
	}
	return 0, false
}
