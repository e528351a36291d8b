package clusterbench

import (
	"context"
	"crypto/rand"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"switchpoint/broker"
)

const (
	poolOwn  = "own"
	poolFree = "floor"

	sessionLife = 10 * time.Hour
)

// house is a setup with a pool of free desktops and one of assigned ones, the first of which belong
// to the first users.
func house(free, assigned int) broker.Setup {
	s := broker.Setup{
		DesktopPools: []broker.DesktopPool{{Name: poolOwn, Kind: broker.KindAssigned, Check: "none"}, {Name: poolFree, Kind: broker.KindPooled, Check: "none"}},
		Policies:     []broker.Policy{{Name: "all", Pools: []string{poolFree}}},
	}
	for i := range assigned {
		name := "own-" + strconv.Itoa(i)
		s.Desktops = append(s.Desktops, broker.Desktop{Name: name, Pool: poolOwn, Host: name + ".company.com"})
		s.Assignments = append(s.Assignments, broker.Assignment{User: userName(i), Desktop: name})
	}
	for i := range free {
		name := "floor-" + strconv.Itoa(i)
		s.Desktops = append(s.Desktops, broker.Desktop{Name: name, Pool: poolFree, Host: name + ".company.com"})
	}
	return s.WithDefaults()
}

func userName(i int) string { return "user" + strconv.Itoa(i) }

func newID() string { return uuid.Must(uuid.NewV7()).String() }

// logRow is a row as a broker writes it.
func logRow(kind string) broker.LogRow {
	id := newID()
	return broker.LogRow{
		ID: id, Ref: "1-" + id[26:], Kind: kind, SiteID: 1, ClientAddr: "192.0.2.7", ClientName: "thin client",
		Duration: 7 * time.Millisecond, Reason: []string{"policy all: the first that matches", "home: this cluster"},
	}
}

// loginOf is a login of a user, as a broker records it, and the token that its client would get.
func loginOf(user string) (broker.LoginRecord, broker.Token) {
	who := broker.Who{Directory: broker.LocalDirectory, User: user}
	token := broker.Token{SiteID: 1}
	rand.Read(token.Secret[:]) // never fails (crypto/rand)
	n := &broker.NewSession{
		Session: broker.Session{
			ID: newID(), Who: who, SiteID: 1, ClientAddr: "192.0.2.7", ClientName: "thin client",
			Grants: []broker.Grant{{Pool: poolFree, MaxOffers: 1}},
		},
		TokenHash: token.Hash(), Life: sessionLife, EmptyCode: broker.CodeNoDesktop,
	}
	log := logRow(broker.LogLogin)
	log.Who, log.Session = who, n.ID
	return broker.LoginRecord{Who: who, KeyLife: 24 * time.Hour, NewSession: n, Log: log}, token
}

// crowd calls do in several goroutines, each time with the next number, until it says that there is
// no more, or fails.
func crowd(clients int, do func(n int) (more bool, err error)) error {
	var next atomic.Int64
	var wg sync.WaitGroup
	errs := make(chan error, clients)
	for range clients {
		wg.Go(func() {
			for {
				more, err := do(int(next.Add(1) - 1))
				if err != nil {
					errs <- err
				}
				if err != nil || !more {
					return
				}
			}
		})
	}
	wg.Wait()
	select {
	case err := <-errs:
		return err
	default:
		return nil
	}
}

// signIn records one login.
func signIn(ctx context.Context, s broker.Store, user string) (broker.Token, broker.LoginOutcome, error) {
	record, token := loginOf(user)
	out, err := s.Login(ctx, record)
	return token, out, err
}
