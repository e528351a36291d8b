package logins

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"switchpoint/bench/ldapserver"
	"switchpoint/broker/api"
)

// maxPause bounds how long a client waits before it asks again.
const maxPause = 30 * time.Second

// visit is one login, and with Journey what follows it.
func (c *clients) visit(ctx context.Context, v visit) error {
	user := (c.t.First + v.n) % c.t.Users
	conn, err := c.begin(ctx, user)
	if err != nil {
		return err
	}
	conn, token, offers, err := c.signIn(ctx, conn, v, user)
	v.sample.login = v.elapsed()
	if err == nil && v.sample.end == "" && c.t.Journey {
		err = c.goOn(conn, v, token, offers)
	}
	if conn != nil {
		c.end(ctx, conn, err)
	}
	return err
}

// begin gets a connection.
func (c *clients) begin(ctx context.Context, user int) (*conn, error) {
	if c.t.Kept > 0 {
		return c.take(ctx)
	}
	return c.open(ctx, sourceOf(user))
}

// end closes a connection, or keeps it. A kept one that failed is opened anew.
func (c *clients) end(ctx context.Context, conn *conn, err error) {
	if c.t.Kept == 0 {
		c.give(conn)
		return
	}
	if err == nil {
		c.kept <- conn
		return
	}
	source := conn.source
	c.give(conn)
	for ctx.Err() == nil {
		if fresh, err := c.open(ctx, source); err == nil {
			c.kept <- fresh
			return
		}
		sleep(ctx, 100*time.Millisecond)
	}
}

// signIn signs in and asks again while it is told to wait. It returns the connection that is open at
// the end, or nil.
func (c *clients) signIn(ctx context.Context, conn *conn, v visit, user int) (*conn, string, []api.Offer, error) {
	conn.loginRequest(c.t.Name, c.key(v.n, "login"), ldapserver.UserName(user), ldapserver.UserPassword(user))
	a, err := conn.ask()
	for {
		if err != nil {
			return conn, "", nil, err
		}
		var res loginAnswer
		if err := json.Unmarshal(a.body, &res); err != nil {
			return conn, "", nil, fmt.Errorf("login: answer %d is no JSON: %.60q", a.status, a.body)
		}
		switch {
		case res.Result == api.ResultOffers && len(res.Offers) > 0:
			return conn, res.Token, res.Offers, nil
		case res.Result == api.ResultWaiting && res.Poll != "":
			v.sample.waited = true
			if err := pause(ctx, max(a.retryAfter, res.Reason.RetryAfter)); err != nil {
				return conn, "", nil, err
			}
			conn, a, err = c.poll(ctx, conn, res.Poll)
		case c.t.Busy && res.Reason.Code == "busy" && a.status == http.StatusServiceUnavailable:
			v.sample.end = endedBusy
			return conn, "", nil, nil
		case res.Reason.Code != "":
			return conn, "", nil, fmt.Errorf("login: refused (%d, %s)", a.status, res.Reason.Code)
		default:
			return conn, "", nil, fmt.Errorf("login: answer %d, result %q with %d offers", a.status, res.Result, len(res.Offers))
		}
	}
}

// loginAnswer is what a client needs of api.LoginResponse.
type loginAnswer struct {
	Result string      `json:"result"`
	Token  string      `json:"token"`
	Poll   string      `json:"poll"`
	Offers []api.Offer `json:"offers"`
	Reason api.Reason  `json:"reason"`
}

// pause waits as long as the broker says. The connection stays open meanwhile, as that of our own
// client does.
func pause(ctx context.Context, seconds int) error {
	if !sleep(ctx, min(time.Duration(seconds)*time.Second, maxPause)) {
		return ctx.Err()
	}
	return nil
}

// poll asks for the outcome of a login that waits. A connection that was closed while it was idle is
// opened anew, once.
func (c *clients) poll(ctx context.Context, conn *conn, path string) (*conn, answer, error) {
	conn.getRequest(c.t.Name, path, "")
	a, err := conn.ask()
	if err == nil || c.t.Kept > 0 || ctx.Err() != nil {
		return conn, a, err
	}
	source := conn.source
	c.give(conn)
	if conn, err = c.open(ctx, source); err != nil {
		return nil, answer{}, err
	}
	conn.getRequest(c.t.Name, path, "")
	a, err = conn.ask()
	return conn, a, err
}

// goOn asks for the offers again, connects to the first one, and signs out.
func (c *clients) goOn(conn *conn, v visit, token string, offers []api.Offer) error {
	if !c.t.Stay {
		conn.getRequest(c.t.Name, "/api/v1/offers", token)
		var list api.OffersResponse
		if err := conn.step("offers", http.StatusOK, &list); err != nil {
			return err
		}
		offers = list.Offers
	}
	if len(offers) == 0 {
		return errors.New("offers: none")
	}
	body, err := json.Marshal(api.ConnectRequest{Offer: offers[0].ID})
	if err != nil {
		return err
	}
	conn.postRequest(c.t.Name, "/api/v1/connect", token, c.key(v.n, "connect"), body)
	var desktop api.ConnectResponse
	if err := conn.step("connect", http.StatusOK, &desktop); err != nil {
		return err
	}
	if desktop.Host == "" {
		return errors.New("connect: no desktop in the answer")
	}
	if c.t.Stay {
		return nil
	}
	conn.postRequest(c.t.Name, "/api/v1/logout", token, "", nil)
	return conn.step("logout", http.StatusNoContent, nil)
}

// step asks and decodes the answer, which must have the status.
func (c *conn) step(name string, want int, to any) error {
	a, err := c.ask()
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if a.status != want {
		var failure api.ErrorResponse
		_ = json.Unmarshal(a.body, &failure) // the status says enough
		return fmt.Errorf("%s: answer %d %s", name, a.status, failure.Reason.Code)
	}
	if to == nil {
		return nil
	}
	if err := json.Unmarshal(a.body, to); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// key is an Idempotency-Key that nobody else uses.
func (c *clients) key(n int, step string) string {
	if !c.t.Key {
		return ""
	}
	return c.run + "-" + strconv.Itoa(n) + "-" + step
}

func (c *conn) loginRequest(host, key, user, password string) {
	body := `{"user":"` + user + `","password":"` + password + `","client":{"name":"bench"}}` // names and passwords of ours need no quoting
	c.postRequest(host, "/api/v1/login", "", key, []byte(body))
}

func (c *conn) getRequest(host, path, token string) {
	c.out = append(c.out[:0], "GET "...)
	c.head(host, path, token)
	c.out = append(c.out, "\r\n"...)
}

func (c *conn) postRequest(host, path, token, key string, body []byte) {
	c.out = append(c.out[:0], "POST "...)
	c.head(host, path, token)
	if key != "" {
		c.out = append(append(append(c.out, "Idempotency-Key: "...), key...), "\r\n"...)
	}
	if len(body) > 0 {
		c.out = append(c.out, "Content-Type: application/json\r\n"...)
	}
	c.out = append(c.out, "Content-Length: "...)
	c.out = strconv.AppendInt(c.out, int64(len(body)), 10)
	c.out = append(append(c.out, "\r\n\r\n"...), body...)
}

// head writes what all requests have, behind the method.
func (c *conn) head(host, path, token string) {
	c.out = append(append(c.out, path...), " HTTP/1.1\r\nHost: "...)
	c.out = append(append(c.out, host...), "\r\nUser-Agent: switchpoint-bench\r\nAccept: application/json\r\n"...)
	if token != "" {
		c.out = append(append(append(c.out, "Authorization: Bearer "...), token...), "\r\n"...)
	}
}
