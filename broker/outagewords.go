package broker

import (
	"context"
	"time"
)

// NoteOperator writes down what an operator has done that no other row tells (BR4).
func (b *Broker) NoteOperator(ctx context.Context, by, text string) {
	b.operatorDid(ctx, by, text, time.Now())
}
