package admin

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"switchpoint/broker"
)

// Operations is what the page Operations shows and does: what an operator may have to do at once, with the
// database or without it (OP5). Its funcs return a line about what was done.
type Operations struct {
	Status func(ctx context.Context) ([]string, error) // how the broker stands to its database
	// Force and Release take an operator's word on the outage of this broker; nil: it has no outage modes.
	Force   func(ctx context.Context, on bool, lasting time.Duration, why, by string) (string, error)
	Release func(ctx context.Context, by string) (string, error)

	Drained  func() *broker.Drain
	Drain    func(ctx context.Context, lasting time.Duration, why, by string) (string, error)
	EndDrain func(ctx context.Context, by string) (string, error)

	Blocks func(ctx context.Context) ([]broker.LimitBlock, error)
	Block  func(ctx context.Context, user string, lasting time.Duration, why, by string) (string, error)
	Lift   func(ctx context.Context, user, address, by string) (string, error)

	Maintenance    func(ctx context.Context, desktop, why, by string) (string, error)
	EndMaintenance func(ctx context.Context, desktop, by string) (string, error)
	Assign         func(ctx context.Context, a broker.Assignment, why, by string) (string, error)
}

// OperationsPage is the page Operations.
func OperationsPage(o Operations) Page {
	acts := map[string]Act{
		"drain": o.drain, "block": o.block, "lift": o.lift, "maintenance": o.maintenance, "assign": o.assign,
	}
	if o.Force != nil {
		acts["outage"] = o.outage
	}
	return Page{Path: "operations", Section: "System", Title: "Operations", Views: map[string]View{"": o.page}, Acts: acts}
}

// maxBlocksShown bounds the table: an attack makes many.
const maxBlocksShown = 200

// operationsView is the page.
type operationsView struct {
	Status  []string
	Outages bool
	Drain   string // "": the broker takes logins
	Blocks  []blockRow
	More    int
}

// blockRow is one block with what the table shows of it.
type blockRow struct {
	broker.LimitBlock
	What, Left string
}

func (o Operations) page(v *Visit) (Shown, error) {
	status, err := o.Status(v.Context())
	if err != nil {
		return Shown{}, err
	}
	blocks, err := o.Blocks(v.Context())
	if err != nil {
		return Shown{}, err
	}
	out := operationsView{Status: status, Outages: o.Force != nil, More: max(0, len(blocks)-maxBlocksShown)}
	if d := o.Drained(); d != nil {
		out.Drain = d.String()
	}
	for _, b := range blocks[:len(blocks)-out.More] {
		out.Blocks = append(out.Blocks, blockRow{b, b.String(), span(b.Left)})
	}
	return Shown{Template: "operations.html", Data: out, Live: true}, nil
}

// lasting reads a length of time out of a form; empty is 0.
func lasting(v *Visit) (time.Duration, error) {
	text := strings.TrimSpace(v.PostForm.Get("for"))
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return 0, &Error{Status: http.StatusBadRequest, Text: fmt.Sprintf("%q is no length of time. Write it as 30m or 8h.", text)}
	}
	return d, nil
}

// field is a text of a form that has to be there.
func field(v *Visit, name, what string) (string, error) {
	text := strings.TrimSpace(v.PostForm.Get(name))
	if text == "" {
		return "", &Error{Status: http.StatusBadRequest, Text: "The form does not say " + what + "."}
	}
	return text, nil
}

// done sends the browser back to the page, with what was done.
func done(note string, err error) (Done, error) {
	return Done{To: consolePath + "operations", Note: note}, err
}

func (o Operations) outage(v *Visit) (Done, error) {
	long, err := lasting(v)
	if err != nil {
		return Done{}, err
	}
	switch do := v.PostForm.Get("do"); do {
	case "begin", "avoid":
		return done(o.Force(v.Context(), do == "begin", long, v.PostForm.Get("why"), v.By))
	case "release":
		return done(o.Release(v.Context(), v.By))
	}
	return Done{}, &Error{Status: http.StatusBadRequest, Text: "The form does not say what to do."}
}

func (o Operations) drain(v *Visit) (Done, error) {
	if v.PostForm.Get("do") == "end" {
		return done(o.EndDrain(v.Context(), v.By))
	}
	long, err := lasting(v)
	if err != nil {
		return Done{}, err
	}
	return done(o.Drain(v.Context(), long, v.PostForm.Get("why"), v.By))
}

func (o Operations) block(v *Visit) (Done, error) {
	user, err := field(v, "user", "whom to block")
	if err != nil {
		return Done{}, err
	}
	long, err := lasting(v)
	if err != nil {
		return Done{}, err
	}
	return done(o.Block(v.Context(), user, long, v.PostForm.Get("why"), v.By))
}

func (o Operations) lift(v *Visit) (Done, error) {
	user, address := v.PostForm.Get("user"), v.PostForm.Get("address")
	if user == "" && address == "" {
		return Done{}, &Error{Status: http.StatusBadRequest, Text: "The form does not say whose block to lift."}
	}
	return done(o.Lift(v.Context(), user, address, v.By))
}

func (o Operations) maintenance(v *Visit) (Done, error) {
	name, err := field(v, "desktop", "which desktop")
	if err != nil {
		return Done{}, err
	}
	if v.PostForm.Get("do") == "end" {
		return done(o.EndMaintenance(v.Context(), name, v.By))
	}
	return done(o.Maintenance(v.Context(), name, v.PostForm.Get("why"), v.By))
}

func (o Operations) assign(v *Visit) (Done, error) {
	user, err := field(v, "user", "to whom")
	if err != nil {
		return Done{}, err
	}
	desktop, err := field(v, "desktop", "which desktop")
	if err != nil {
		return Done{}, err
	}
	a := broker.Assignment{User: user, Directory: strings.TrimSpace(v.PostForm.Get("directory")), Desktop: desktop}
	return done(o.Assign(v.Context(), a, v.PostForm.Get("why"), v.By))
}
