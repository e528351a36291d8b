package outagebench

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"switchpoint/bench/logins"
	"switchpoint/broker/outage"
	"switchpoint/broker/outage/mode"
	"switchpoint/healthcheck/isalive"
)

const (
	lookEvery   = 20 * time.Millisecond
	lookTimeout = 5 * time.Second
)

// change is a mode as it was seen first.
type change struct {
	at   time.Time
	mode mode.Mode
}

// acts is how many were in the journal at a moment.
type acts struct {
	at time.Time
	n  int
}

// watcher looks at a broker's mode, as it says itself and as its is_alive page says, until stop.
type watcher struct {
	chain *logins.Chain
	page  *http.Client
	url   string
	stop  func() // ends the looking and waits for that

	mu          sync.Mutex
	broker      []change
	alive       []change
	journal     []acts
	looks, down int   // of the page: how many, and how many were answered with anything but 200
	failed      error // the last look that got no answer
}

// watch begins to look.
func watch(ctx context.Context, c *logins.Chain) (*watcher, error) {
	pem, err := os.ReadFile(filepath.Clean(c.CA()))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	w := &watcher{
		chain: c, url: "https://" + c.Broker() + isalive.Path + "?" + isalive.Query,
		page: &http.Client{Timeout: lookTimeout, Transport: &http.Transport{
			DisableKeepAlives: true,
			TLSClientConfig:   &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12, ClientSessionCache: tls.NewLRUClientSessionCache(1)},
		}},
	}
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	for _, look := range []func(context.Context) error{w.askBroker, w.askPage} {
		wg.Go(func() {
			for ctx.Err() == nil {
				if err := look(ctx); err != nil && ctx.Err() == nil {
					w.mu.Lock()
					w.failed = err
					w.mu.Unlock()
				}
				sleep(ctx, lookEvery)
			}
		})
	}
	w.stop = sync.OnceFunc(func() { cancel(); wg.Wait() })
	return w, nil
}

// askBroker takes what the broker says of itself.
func (w *watcher) askBroker(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	var s outage.Status
	if err := w.chain.Ask(ctx, http.MethodGet, "outage", &s); err != nil {
		return err
	}
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.broker = append(w.broker, changed(w.broker, s.Mode, now)...)
	if n := len(w.journal); n > 1 && w.journal[n-1].n == s.Unmerged && w.journal[n-2].n == s.Unmerged {
		w.journal[n-1].at = now // three of a kind are two
		return nil
	}
	w.journal = append(w.journal, acts{now, s.Unmerged})
	return nil
}

// askPage takes what the page says.
func (w *watcher) askPage(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.url, http.NoBody)
	if err != nil {
		return err
	}
	res, err := w.page.Do(req)
	now := time.Now()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.looks++
	if err != nil {
		w.down++
		return err
	}
	if res.StatusCode != http.StatusOK {
		w.down++
	}
	w.alive = append(w.alive, changed(w.alive, mode.Mode(res.Header.Get(isalive.HeaderMode)), now)...)
	return res.Body.Close()
}

// changed is what a look adds to a list.
func changed(list []change, m mode.Mode, now time.Time) []change {
	if n := len(list); n > 0 && list[n-1].mode == m {
		return nil
	}
	return []change{{now, m}}
}

// firstAfter is when a mode was seen first at or after a moment.
func firstAfter(list []change, m mode.Mode, from time.Time) (time.Time, bool) {
	for i, c := range list {
		if c.mode == m && (!c.at.Before(from) || i == len(list)-1 || list[i+1].at.After(from)) {
			return later(c.at, from), true
		}
	}
	return time.Time{}, false
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// until waits until the broker and its page have said a mode.
func (w *watcher) until(ctx context.Context, m mode.Mode, from time.Time, within time.Duration) error {
	for deadline := time.Now().Add(within); sleep(ctx, lookEvery/2); {
		w.mu.Lock()
		_, broker := firstAfter(w.broker, m, from)
		_, page := firstAfter(w.alive, m, from)
		failed := w.failed
		w.mu.Unlock()
		if broker && page {
			return nil
		}
		if time.Now().After(deadline) {
			return errors.Join(fmt.Errorf("the broker did not say %q within %s", m, within), failed)
		}
	}
	return ctx.Err()
}

// settled waits until the broker is normal and its journal is empty.
func (w *watcher) settled(ctx context.Context, within time.Duration) error {
	for deadline := time.Now().Add(within); sleep(ctx, lookEvery/2); {
		w.mu.Lock()
		m, left, failed := last(w.broker).mode, w.journal, w.failed
		w.mu.Unlock()
		acts := 0
		if len(left) > 0 {
			acts = left[len(left)-1].n
		}
		if m == mode.Normal && acts == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return errors.Join(fmt.Errorf("after %s the broker is in mode %q with %d acts to merge", within, m, acts), failed)
		}
	}
	return ctx.Err()
}

// last is the newest mode; the zero value when there is none.
func last(list []change) (c change) {
	if n := len(list); n > 0 {
		c = list[n-1]
	}
	return c
}

// mergeBegan is when merging began after a moment: when the broker said so, or, where it was too fast to be
// seen at it, when its journal was last seen at its fullest.
func (w *watcher) mergeBegan(from time.Time) time.Time {
	if at, ok := firstAfter(w.broker, mode.Recovering, from); ok {
		return at
	}
	full := most(w.journal)
	at := from
	for _, a := range w.journal {
		if a.n == full {
			at = later(a.at, from)
		}
	}
	return at
}

// sleep returns false when ctx ends first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
