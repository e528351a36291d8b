package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"

	"switchpoint/broker/api"
)

// tellEvery is how often a hop says how far the start of a desktop is.
const tellEvery = 15 * time.Second

// connect takes the first offer.
func (s *session) connect(ctx context.Context) error {
	offers := s.login.out.Offers
	if len(offers) == 0 {
		return errors.New("connect: signed in, but no desktop is offered to this user")
	}
	began := time.Now()
	body := api.ConnectRequest{Offer: offers[0].ID}
	key := uuid.NewString() // one for all: whoever asks again means the same desktop
	var res api.ConnectResponse
	if _, err := s.callKeyed(ctx, http.MethodPost, "/api/v1/connect", key, body, &res); err != nil {
		return fmt.Errorf("connect to %s: %w", offers[0].Name, err)
	}
	for told := (time.Time{}); res.Result == api.ResultWaiting; {
		if res.Reason != nil && time.Since(told) > tellEvery {
			told = time.Now()
			s.login.hop("start", res.Reason.Text, began)
		}
		poll := res.Poll
		if err := pause(ctx, poll, res.Reason); err != nil {
			return fmt.Errorf("wait for %s: %w", offers[0].Name, err)
		}
		res = api.ConnectResponse{}
		if _, err := s.callKeyed(ctx, http.MethodPost, poll, key, body, &res); err != nil {
			return fmt.Errorf("connect to %s: %w", offers[0].Name, err)
		}
	}
	if res.Reason != nil {
		return fmt.Errorf("connect to %s: %w", offers[0].Name, &RefusedError{Reason: *res.Reason, Broker: res.Broker})
	}
	s.login.out.Desktop = &res
	s.login.hop("desktop", fmt.Sprintf("%s at %s:%d over %s", res.Desktop, res.Host, res.Port, res.Protocol), began)
	return nil
}
