package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"switchpoint/broker"
)

// TestOperationErrors: the API gives an error the status that the console gives it, and its text.
func TestOperationErrors(t *testing.T) {
	for want, err := range map[int]error{
		400: fmt.Errorf("%w: it lasts too long", broker.ErrInvalid), 404: fmt.Errorf("remove broker: %w", broker.ErrNotFound),
		409: fmt.Errorf("%w: it is running", broker.ErrConflict), 503: fmt.Errorf("ask: %w", broker.ErrUnavailable),
		500: errors.New("it broke"), 418: &Error{Status: http.StatusTeapot, Text: "its own"},
	} {
		w := httptest.NewRecorder()
		serve(func(context.Context, Request) (any, error) { return "half an answer", err })(w, httptest.NewRequest(http.MethodPost, "/", strings.NewReader("")))
		if body := w.Body.String(); w.Code != want || !strings.Contains(body, err.Error()) || strings.Contains(body, "half") {
			t.Errorf("%v: %d %s", err, w.Code, body)
		}
	}
}
