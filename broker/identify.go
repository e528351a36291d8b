package broker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"switchpoint/directory"
)

// failureFloor is the earliest moment after arrival at which a failed sign-in is answered, and the step
// in which later ones are, so that its time does not tell why it failed (SE2).
const failureFloor = 300 * time.Millisecond

// Bounds of what a client may send.
const (
	maxUser     = 256
	maxPassword = 1024
)

// floorAfter is when a refusal that is ready now is answered: a whole number of floors after arrival.
func floorAfter(arrived, now time.Time) time.Time {
	took := max(failureFloor, now.Sub(arrived)+failureFloor-1)
	return arrived.Add(took.Truncate(failureFloor))
}

// tooMany refuses a sign-in that is blocked, before it takes a place in the queue. Whether the user exists
// and the password is right plays no part: nobody is asked.
func (b *Broker) tooMany(a *attempt) (code string) {
	if a.Ticket != "" { // nobody guesses a signature
		return ""
	}
	key, left := b.gate.blocked(b.gate.keys(a.User, a.ClientAddr))
	return a.blocked(key, left)
}

// blocked is what a block means for an attempt; left is how long it lasts, 0 for none.
func (a *attempt) blocked(key LimitKey, left time.Duration) (code string) {
	if left <= 0 {
		return ""
	}
	a.retryAfter = left
	why := "after too many failed sign-ins"
	if key.Kind == LimitOperator { // the client is told the same
		why = "from signing in"
	}
	a.because("blocked %s: %s, for another %s", why, key, left.Round(time.Second))
	return CodeTooMany
}

// barred refuses a user whom an operator has blocked, by the name that his directory gives him: he may
// have typed another one, or have come with a ticket.
func (b *Broker) barred(a *attempt, user string) (code string) {
	key, left := b.gate.blocked([]LimitKey{operatorKey(limitUser(user))})
	return a.blocked(key, left)
}

// identify finds whose password it is (LD3), unless there were too many failures, and counts how it ends.
func (b *Broker) identify(ctx context.Context, t *table, a *attempt) (who identity, code string) {
	keys := b.gate.keys(a.User, a.ClientAddr)
	text := plausible(a.User, a.Password)
	if !text {
		a.because("user name or password is empty, too long or not text")
		keys = b.gate.keys("", a.ClientAddr) // it is nobody's password
	}
	key, left, err := b.gate.enter(ctx, keys)
	if err != nil {
		a.because("other sign-ins of this user are under way: %v", err)
		return identity{}, CodeBusy
	}
	if code := a.blocked(key, left); code != "" {
		return identity{}, code
	}
	v := verdictNone
	defer func() {
		for _, k := range b.gate.leave(keys, who.User, v) {
			a.because("from now on blocked: %s", k)
			b.log.Warn("too many failed sign-ins", "kind", k.Kind, "address", k.Source, "ref", a.row.Ref)
			b.metrics.blocks.WithLabelValues(string(k.Kind)).Inc()
		}
	}()
	code = CodeSignInFailed
	if text {
		who, code = b.whosePassword(ctx, t, a)
	}
	switch code {
	case "", CodePasswordExpired, CodePasswordMustChange, CodePasswordPolicy, CodeAccountDisabled, CodeAccountExpired, CodeNotNow:
		v = verdictRight
	case CodeSignInFailed:
		v = verdictFailed
	default:
		v = a.unfinished(ctx)
	}
	return who, code
}

// unfinished is the verdict on a sign-in that not all have said something about. Where somebody has said no
// it was a guess, which must not be free because its client hangs up or because another directory is down.
// Known and unknown names count alike, or the block would tell them apart.
func (a *attempt) unfinished(ctx context.Context) verdict {
	switch {
	case a.refusedBy == 0:
		return verdictNone
	case errors.Is(ctx.Err(), context.Canceled):
		return verdictFailed
	}
	return verdictDoubt
}

// whosePassword asks the directories in their order, or the one that the client named, then the local
// users. code is a refusal code.
//
// A directory that does not know user and password passes the question on to the next; one that does
// not answer too, but then the end cannot be "wrong password": the one that knows the user may be the
// silent one. One that knows the password and lets its owner in nevertheless not has the last word.
func (b *Broker) whosePassword(ctx context.Context, t *table, a *attempt) (who identity, code string) {
	code = CodeSignInFailed
	before := len(a.row.Reason)
	for i := range t.directories {
		d := &t.directories[i]
		if a.Directory != "" && a.Directory != d.config.Name {
			continue
		}
		who, answer := b.askDirectory(ctx, d, a)
		switch answer {
		case CodeSignInFailed:
			a.refusedBy++
		case CodeDirectoryUnavailable:
			code = answer
		default:
			return who, answer
		}
	}
	if a.Directory == "" || a.Directory == LocalDirectory {
		name := canonicalUser(a.User)
		ok, err := b.localUser(ctx, t, name, a.Password)
		if err != nil {
			a.because("local users: no turn to check the password: %v", err)
			return identity{}, CodeBusy
		}
		if ok {
			a.because("local user")
			return identity{Who: Who{Directory: LocalDirectory, User: name}}, ""
		}
		if len(t.users) > 0 {
			a.refusedBy++
		}
		a.because("no local user with this password")
	}
	if len(a.row.Reason) == before {
		a.because("there is no directory %q", clip(a.Directory))
	}
	return identity{}, code
}

// askDirectory signs the user in at one directory, with a new password if he has to have one and has
// given it. What has begun is ended though the client hangs up: a wrong password that has reached the
// directory counts there, so it has to count here, too, and a connection that is cut has to be made anew.
func (b *Broker) askDirectory(ctx context.Context, d *dirEntry, a *attempt) (who identity, code string) {
	if ctx.Err() != nil {
		a.because("directory %s: not asked, %v", d.config.Name, ctx.Err())
		return identity{}, CodeDirectoryUnavailable
	}
	deadline, _ := ctx.Deadline() // admitted has given one
	ctx, cancel := context.WithDeadline(b.admit.base, deadline)
	defer cancel()
	entry, err := d.client.Authenticate(ctx, a.User, a.Password, d.attributes)
	code = b.directoryCode(ctx, d, a, err)
	if a.NewPassword != "" && (code == CodePasswordExpired || code == CodePasswordMustChange) {
		if code = b.changePassword(ctx, d, a, code); code != "" {
			return identity{}, code
		}
		entry, err = d.client.Authenticate(ctx, a.User, a.NewPassword, d.attributes)
		if code = b.directoryCode(ctx, d, a, err); code == CodeSignInFailed {
			code = CodeDirectoryUnavailable // the server asked now may not know of the change yet
		}
	}
	if code != "" {
		return identity{}, code
	}
	a.because("directory %s: %s is %s", d.config.Name, a.row.User, entry.DN)
	return identity{Who: Who{Directory: d.config.Name, User: canonicalUser(entry.User)}, entry: entry, from: d}, ""
}

// changePassword gives the user the password that he has chosen; prompt is the code of the question that
// it answers.
func (b *Broker) changePassword(ctx context.Context, d *dirEntry, a *attempt, prompt string) (code string) {
	if !plausiblePassword(a.NewPassword) || a.NewPassword == a.Password {
		a.because("the new password is empty, too long, not text or the old one")
		return CodePasswordPolicy
	}
	err := d.client.ChangePassword(ctx, a.User, a.Password, a.NewPassword)
	if code = b.directoryCode(ctx, d, a, err); code == "" {
		a.because("directory %s: password changed (%s)", d.config.Name, prompt)
	}
	return code
}

// directoryCode is the refusal code of what a directory answered; the row says more.
func (b *Broker) directoryCode(ctx context.Context, d *dirEntry, a *attempt, err error) string {
	if err == nil {
		return ""
	}
	if why, ok := errors.AsType[*directory.RefusedError](err); ok {
		a.because("directory %s: %s", d.config.Name, why.Explain())
		return refusedCode(why.Code)
	}
	a.because("directory %s: %v", d.config.Name, err)
	if ctx.Err() == nil {
		b.log.Warn("directory failed in a login", "directory", d.config.Name, "ref", a.row.Ref, "error", err)
	}
	return CodeDirectoryUnavailable
}

// refusedCode says how much of a directory's reason the user may know: what it tells only to those who
// know the password. A locked account is none of that (775).
func refusedCode(code string) string {
	switch code {
	case directory.CodePasswordExpired:
		return CodePasswordExpired
	case directory.CodePasswordMustChange:
		return CodePasswordMustChange
	case directory.CodePasswordPolicy:
		return CodePasswordPolicy
	case "533":
		return CodeAccountDisabled
	case "701":
		return CodeAccountExpired
	case "530", "531":
		return CodeNotNow
	}
	return CodeSignInFailed
}

// refused is the answer that a code stands for: a question to those whose password is right and has to be
// another one, else the refusal.
func (a *attempt) refused(code string) LoginResult {
	r := refusal(code, a.row.Ref)
	switch code {
	case CodePasswordExpired, CodePasswordMustChange, CodePasswordPolicy:
		return LoginResult{Prompt: &Prompt{Kind: PromptNewPassword, Code: code, Text: r.Text}, Ref: r.Ref}
	case CodeTooMany:
		r.RetryAfter = a.retryAfter
	}
	return LoginResult{Refusal: r}
}

// plausible bounds what goes to a directory. An empty password is a failed sign-in and never
// reaches the wire (SE2).
func plausible(user, password string) bool {
	return strings.TrimSpace(user) != "" && len(user) <= maxUser && utf8.ValidString(user) && !strings.ContainsFunc(user, unicode.IsControl) &&
		plausiblePassword(password)
}

func plausiblePassword(password string) bool {
	return password != "" && len(password) <= maxPassword && !strings.ContainsRune(password, 0)
}

// localUser does the same work for a user that does not exist. Its error means that ctx ended
// before its turn came.
func (b *Broker) localUser(ctx context.Context, t *table, name, password string) (bool, error) {
	if len(t.users) == 0 {
		return false, nil
	}
	hash, ok := t.users[name]
	if !ok {
		hash = t.standIn(b.member.Load().Cluster.Secret, name)
	}
	select {
	case b.hashing <- struct{}{}:
	case <-ctx.Done():
		return false, fmt.Errorf("wait for a turn: %w", ctx.Err())
	}
	defer func() { <-b.hashing }()
	return hash.verify(password) && ok, nil
}
