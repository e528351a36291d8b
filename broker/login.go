package broker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"switchpoint/directory"
	"switchpoint/redirect"
)

// LoginRequest is one attempt to sign in, or one further step of it (LG5).
type LoginRequest struct {
	User, Password string
	NewPassword    string // the answer to a Prompt for one
	Ticket         string // of the cluster that redirected the user (RD8), in place of name and password
	Directory      string // empty: all, in order
	ClientName     string
	ClientAddr     string
	Key            string    // Idempotency-Key, empty or valid (ValidKey)
	Arrived        time.Time // zero: now
}

// LoginResult is how a step ended: exactly one of Refusal, Redirect, Prompt, Waiting and Token is set.
type LoginResult struct {
	Token    string
	Offers   []Offer
	Redirect string   // URL of the home cluster
	Ticket   string   // with Redirect: what the home cluster takes in place of the password; may be empty
	Home     string   // with Ticket: the name of the destination
	Prompt   *Prompt  // the user has to say more: the same request again, with the answer
	Waiting  *Waiting // the login keeps its place; its outcome is asked for later
	Refusal  *Refusal
	Ref      string // of the log row, in every case but a replay
}

// PromptNewPassword asks for a new password: the old one is right, and expired or to be changed.
const PromptNewPassword = "new-password"

// Prompt is a question to the user before the login can go on.
type Prompt struct {
	Kind string // PromptNewPassword
	Text string // what the user reads
	Code string // why: CodePasswordExpired, CodePasswordMustChange, CodePasswordPolicy
}

// Waiting is a login that stands in the queue (LG1).
type Waiting struct {
	ID         string        // secret, for LoginOutcome; any broker of the cluster takes it
	Position   int           // logins before this one
	RetryAfter time.Duration // when to ask again
}

// attempt is a login on its way.
type attempt struct {
	LoginRequest
	row   LogRow
	token Token // of the session that this login makes
	// ticket is what the database remembers of the ticket that this login spends; empty: a password was
	// given. home is where it is sent.
	ticket string
	home   homeward
	// retryAfter is for how long a block holds; 0 for none.
	retryAfter time.Duration
	// refusedBy is how many of those who were asked do not know this name with this password.
	refusedBy int
}

func (a *attempt) because(format string, args ...any) {
	a.row.Reason = append(a.row.Reason, fmt.Sprintf(format, args...))
}

// identity is who the password belongs to.
type identity struct {
	Who
	entry   directory.Entry // empty for local users
	from    *dirEntry       // nil for local users
	visited []string        // clusters that have sent him here (RD8)
}

// Login signs a user in, sends him home, or refuses him with a reason. It always answers: after
// answer_within with Waiting, if the login has not ended by then.
func (b *Broker) Login(ctx context.Context, req LoginRequest) LoginResult {
	if req.Arrived.IsZero() {
		req.Arrived = time.Now()
	}
	req.bound()
	p := &pending{attempt: &attempt{LoginRequest: req, row: b.newRow(LogLogin, req.ClientAddr, req.ClientName)}, done: make(chan struct{})}
	p.attempt.row.User = clip(strings.TrimSpace(req.User))
	if req.Key != "" {
		p.key = joinKey(b.member.Load().Cluster.Secret, req)
	}
	if code := b.tooMany(p.attempt); code != "" { // it takes no place in the queue
		return b.answer(ctx, p, LoginResult{}, code)
	}
	awaited := b.admit.arrive(p)
	if awaited == nil {
		return b.answer(ctx, p, LoginResult{}, b.lostCode(p, lossStopped))
	}
	return b.admit.await(ctx, awaited, b.cfg.SiteID, req.Arrived.Add(b.cfg.AnswerWithin))
}

// bound cuts what is too long to be right: it stays too long, and what a client sends takes no memory
// while its login waits.
func (r *LoginRequest) bound() {
	for _, f := range []struct {
		text *string
		most int
	}{
		{&r.User, maxUser}, {&r.Password, maxPassword}, {&r.NewPassword, maxPassword}, {&r.Ticket, maxTicket},
		{&r.Directory, maxUser}, {&r.ClientName, maxUser},
	} {
		if len(*f.text) > f.most {
			*f.text = strings.Clone((*f.text)[:f.most+1])
		}
	}
}

// waitUntil returns at that moment or when ctx ends.
func waitUntil(ctx context.Context, at time.Time) {
	t := time.NewTimer(time.Until(at))
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// admitted runs the login in its place. A code other than "" is a refusal that no transaction
// has written down yet.
func (b *Broker) admitted(ctx context.Context, a *attempt) (LoginResult, string) {
	if b.fenced.Load() {
		a.because("another process has taken over site id %d", b.cfg.SiteID)
		return LoginResult{}, CodeStopped
	}
	if b.left() {
		a.because("this broker has left the cluster")
		return LoginResult{}, CodeStopped
	}
	ctx, cancel := context.WithTimeout(ctx, loginTimeout)
	defer cancel()

	t := b.table.Load()
	who, code := b.whoIs(ctx, t, a)
	if code != "" {
		return LoginResult{}, code
	}
	a.row.Who = who.Who
	if code := b.barred(a, who.User); code != "" {
		return LoginResult{}, code
	}
	if ctx.Err() != nil { // nobody would know of the session
		a.because("it has ended meanwhile: %v", ctx.Err())
		return LoginResult{}, CodeTimedOut
	}
	return b.goOn(ctx, t, a, who)
}

// goOn does what the redirect rules say with a user whose password is right.
func (b *Broker) goOn(ctx context.Context, t *table, a *attempt, who identity) (LoginResult, string) {
	d := b.decideHome(ctx, t, who)
	a.row.Reason = append(a.row.Reason, d.Reason...)
	who.from.count(d)
	rec := LoginRecord{Who: who.Who, KeyLife: keyLife, Ticket: a.ticket, TicketKeep: ticketKeep}
	if a.Key != "" {
		rec.Key = keyID(b.member.Load().Cluster.Secret, a.Key)
		rec.KeyMAC = keyMAC(b.member.Load().Cluster.Secret, who.Who, a.proof(), a.Key)
	}
	switch d.Action {
	case redirect.Forward:
		a.home = b.sendHome(a, *d.Destination, who)
		rec.Redirect = a.home.url
		a.row.Kind = LogRedirect
	case redirect.Reject:
		return LoginResult{}, CodeRejected
	case redirect.HomeUnavailable:
		return LoginResult{}, CodeHomeUnavailable
	default:
		rec.NewSession = b.newSession(t, a, who)
	}
	return b.recordLogin(ctx, a, rec)
}

// newSession prepares the session that the store will make, with what the policy grants.
func (b *Broker) newSession(t *table, a *attempt, who identity) *NewSession {
	chosen, ok, why := choosePolicy(t.policies, who.entry.Attributes, a.ClientAddr)
	a.because("%s", why)
	n := &NewSession{Life: b.cfg.SessionLifetime, EmptyCode: CodeNoDesktop}
	idle := b.idleFor(chosen)
	if !ok {
		n.EmptyCode = CodePolicy
	}
	n.Session = Session{ID: newID(), Who: who.Who, SiteID: b.cfg.SiteID, ClientAddr: a.ClientAddr, ClientName: a.row.ClientName, Grants: chosen.grants(t.kinds), Idle: idle}
	a.row.Session = n.ID
	a.token = newToken(b.cfg.SiteID)
	if a.Key != "" {
		a.token = keyedToken(b.member.Load().Cluster.Secret, b.cfg.SiteID, n.ID, a.Key, a.proof())
	}
	n.TokenHash = a.token.Hash()
	return n
}

// recordLogin makes the outcome durable and turns what then stands in the store into the answer.
func (b *Broker) recordLogin(ctx context.Context, a *attempt, rec LoginRecord) (LoginResult, string) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	rec.Log = a.row
	rec.Log.Duration = time.Since(a.Arrived)
	asked := time.Now()
	out, err := b.o.Store.Login(ctx, rec)
	switch {
	case errors.Is(err, ErrKeyReused):
		a.because("%v", err)
		return LoginResult{}, CodeSignInFailed
	case errors.Is(err, ErrNotFound):
		a.because("%v", err)
		return LoginResult{}, CodeKeyReused
	case err != nil:
		if !errors.Is(err, ErrTicketUsed) {
			b.log.Error("login could not be recorded", "ref", a.row.Ref, "error", err)
		}
		a.because("%v", err)
		if res, code, ok := b.ticketUnrecorded(a, err); ok {
			return res, code
		}
		return LoginResult{}, refusalCode(err)
	}
	b.redirects.spent(a, out)
	switch {
	case out.Redirect != "":
		home := a.home.to(out.Redirect)
		return LoginResult{Redirect: out.Redirect, Ticket: home.ticket, Home: home.name, Ref: a.row.Ref}, ""
	case out.Session == nil: // the store has written the refusal
		return LoginResult{Refusal: refusal(rec.NewSession.EmptyCode, a.row.Ref)}, ""
	}
	res := LoginResult{Offers: arrange(out.Offers, *out.Session), Ref: a.row.Ref}
	token := a.token
	if out.Replayed {
		token = keyedToken(b.member.Load().Cluster.Secret, out.Session.SiteID, out.Session.ID, a.Key, a.proof())
	}
	res.Token = token.String()
	b.sessions.put(token.Hash(), *out.Session, asked)
	if !out.Replayed {
		b.sessions.touch(token.Hash(), asked) // making it is a use
	}
	return res, ""
}

// clip makes a string from a client fit for a log row.
func clip(s string) string {
	const limit = 256
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "?")
	}
	s = strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f {
			return ' '
		}
		return r
	}, s)
	for len(s) > limit {
		_, n := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-n]
	}
	return s
}
