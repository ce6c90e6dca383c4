package session

import (
	"testing"
	"time"
)

func TestPatience(t *testing.T) {
	var p Patience
	if p.Limit() != MostPatience {
		t.Errorf("without an answer: %v", p.Limit())
	}
	for range 50 {
		p.Answered(5 * time.Millisecond)
	}
	if p.Limit() != leastPatience {
		t.Errorf("quick answers: %v", p.Limit())
	}
	for i := range 50 {
		p.Answered(time.Duration(40+i%2*80) * time.Millisecond)
	}
	if l := p.Limit(); l <= leastPatience || l >= MostPatience {
		t.Errorf("answers between 40 and 120 ms: %v", l)
	}
	// Who speaks only when asked is not hurried: each answer comes after the
	// limit, and the limit grows to its bound.
	q := Patience{}
	q.Answered(5 * time.Millisecond)
	for range 20 {
		q.Answered(q.Limit() + 5*time.Millisecond)
	}
	if q.Limit() != MostPatience {
		t.Errorf("one who only answers questions: %v", q.Limit())
	}
	for range 1000 {
		q.Answered(-1)
		q.Answered(time.Hour)
	}
	if l := q.Limit(); l < leastPatience || l > MostPatience {
		t.Errorf("after nonsense: %v", l)
	}
}
