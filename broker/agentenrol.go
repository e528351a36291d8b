package broker

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"
)

// Bounds of an enrolment token's life.
const (
	DefaultEnrolLife = 24 * time.Hour
	minEnrolLife     = time.Minute
	maxEnrolLife     = 90 * 24 * time.Hour
)

// NewEnrolToken makes a token with which the agent of a desktop, or those of the desktops in a pool,
// enrol within life (0: DefaultEnrolLife). who is the operator, for the log. The token is shown this
// once. ErrNotFound when there is no such desktop or pool.
func (b *Broker) NewEnrolToken(ctx context.Context, desktop, pool string, life time.Duration, who string) (string, error) {
	if life == 0 {
		life = DefaultEnrolLife
	}
	switch {
	case (desktop == "") == (pool == ""):
		return "", fmt.Errorf("%w: name one desktop or one desktop pool", ErrInvalid)
	case life < minEnrolLife || life > maxEnrolLife:
		return "", fmt.Errorf("%w: a token can live from %s to %s", ErrInvalid, minEnrolLife, maxEnrolLife)
	}
	token := newEnrolToken()
	row := b.operatorRow(ctx, LogAgent, who)
	row.Desktop, row.Duration = desktop, sinceArrival(time.Now())
	row.Reason = []string{fmt.Sprintf("enrolment token for desktop %q, good for %s", desktop, life)}
	if pool != "" {
		row.Reason = []string{fmt.Sprintf("enrolment token for the desktops of pool %q, good for %s", pool, life)}
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	t := EnrolToken{Hash: sha256.Sum256([]byte(token)), Desktop: desktop, Pool: pool, Life: life}
	if err := b.o.Store.AddEnrolToken(ctx, t, row); err != nil {
		return "", err
	}
	return token, nil
}

// EnrolAgent takes a token for the key of a desktop. name is what the agent calls its desktop, which
// counts with the token of a pool. The error is a *Refusal.
func (b *Broker) EnrolAgent(ctx context.Context, token, name, clientAddr string) (AgentKey, AgentDesktop, error) {
	arrived := time.Now()
	if len(token) > maxEnrolToken {
		return AgentKey{}, AgentDesktop{}, refusal(CodeEnrolRefused, "")
	}
	var key AgentKey
	rand.Read(key.Secret[:]) // never fails (crypto/rand)
	row := b.newRow(LogAgent, clientAddr, clip(name))
	row.Reason = []string{"the agent has enrolled"}
	row.Duration = time.Since(arrived)
	bounded, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	d, err := b.o.Store.EnrolAgent(bounded, Enrolment{
		TokenHash: sha256.Sum256([]byte(token)), Desktop: clip(name), Log: row,
		KeyHash: func(id string) [32]byte { return AgentKey{Desktop: id, Secret: key.Secret}.Hash() },
	})
	switch {
	case errors.Is(err, ErrNotFound): // no row: whoever has no token could fill the log
		b.metrics.enrolments.WithLabelValues("refused").Inc()
		b.log.Warn("an agent was refused: its token is unknown, used up, expired or not for its desktop", "desktop", clip(name), "client", clientAddr)
		return AgentKey{}, AgentDesktop{}, refusal(CodeEnrolRefused, "")
	case err != nil:
		b.log.Error("an agent could not be enrolled", "error", err)
		return AgentKey{}, AgentDesktop{}, refusal(refusalCode(err), "")
	}
	b.metrics.enrolments.WithLabelValues("ok").Inc()
	key.Desktop = d.ID
	return key, d, nil
}

// Agents lists the agents by name of their desktop, which selects one if it is not empty.
func (b *Broker) Agents(ctx context.Context, desktop string) ([]AgentStatus, error) {
	return b.o.Store.Agents(ctx, desktop)
}

// HoldForReset keeps pooled desktops, which were used while nobody watched over them, from being given
// to anybody else until their agents report a clean reset; those that do not within wait are
// quarantined (BR5). why and who are for the log.
func (b *Broker) HoldForReset(ctx context.Context, names []string, wait time.Duration, why, who string) (int, error) {
	row := b.operatorRow(ctx, LogAgent, who)
	row.Duration = sinceArrival(time.Now())
	row.Reason = []string{fmt.Sprintf("%d desktops wait for a clean reset: %s", len(names), why)}
	return b.o.Store.HoldForReset(ctx, names, newID(), wait, row)
}

// ClearDesktop gives a desktop back to its pool that waits for a reset or is quarantined; the operator
// who vouches for it.
func (b *Broker) ClearDesktop(ctx context.Context, name, who string) error {
	row := b.operatorRow(ctx, LogAgent, who)
	row.Desktop, row.Duration = clip(name), sinceArrival(time.Now())
	row.Reason = []string{"the operator vouches for the desktop: it is clean"}
	return b.o.Store.ClearDesktop(ctx, name, row)
}
