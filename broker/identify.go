package broker

import (
	"context"
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"

	"switchpoint/directory"
)

// identify finds whose password it is: the directories in their order, or the one that the
// client named, then the local users (LD3). code is a refusal code.
//
// A directory that refuses passes the question on to the next; one that does not answer too,
// but then the end cannot be "wrong password": the one that knows the user may be the silent
// one.
func (b *Broker) identify(ctx context.Context, t *table, a *attempt) (who identity, code string) {
	if !plausible(a.User, a.Password) {
		a.because("user name or password is empty, too long or not text")
		return identity{}, CodeSignInFailed
	}
	code = CodeSignInFailed
	for i := range t.directories {
		d := &t.directories[i]
		if a.Directory != "" && a.Directory != d.config.Name {
			continue
		}
		entry, err := d.client.Authenticate(ctx, a.User, a.Password, d.attributes)
		if err == nil {
			a.because("directory %s: %s is %s", d.config.Name, a.row.User, entry.DN)
			return identity{Who: Who{Directory: d.config.Name, User: canonicalUser(entry.User)}, entry: entry, from: d}, ""
		}
		if why, ok := errors.AsType[*directory.RefusedError](err); ok {
			a.because("directory %s: %s", d.config.Name, why.Explain())
			continue
		}
		a.because("directory %s: %v", d.config.Name, err)
		if ctx.Err() == nil {
			b.log.Warn("directory failed in a login", "directory", d.config.Name, "ref", a.row.Ref, "error", err)
		}
		code = CodeDirectoryUnavailable
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
		a.because("no local user with this password")
	}
	if len(a.row.Reason) == 0 {
		a.because("there is no directory %q", clip(a.Directory))
	}
	return identity{}, code
}

// plausible bounds what goes to a directory. An empty password is a failed sign-in and never
// reaches the wire (SE2).
func plausible(user, password string) bool {
	return strings.TrimSpace(user) != "" && len(user) <= maxUser && utf8.ValidString(user) && !strings.ContainsFunc(user, unicode.IsControl) &&
		password != "" && len(password) <= maxPassword && !strings.ContainsRune(password, 0)
}

// localUser does the same work for a user that does not exist. Its error means that ctx ended
// before its turn came.
func (b *Broker) localUser(ctx context.Context, t *table, name, password string) (bool, error) {
	if len(t.users) == 0 {
		return false, nil
	}
	hash, ok := t.users[name]
	if !ok {
		hash = b.dummy
	}
	select {
	case b.hashing <- struct{}{}:
	case <-ctx.Done():
		return false, ctx.Err()
	}
	defer func() { <-b.hashing }()
	return hash.verify(password) && ok, nil
}
