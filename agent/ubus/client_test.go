package ubus

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/ubus/ubustest"
)

// keep runs a Client until the test ends.
func keep(t *testing.T, c *Client) {
	t.Helper()
	c.MinBackoff, c.MaxBackoff = time.Millisecond, 10*time.Millisecond
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan bool)
	go func() { c.Run(ctx); close(done) }()
	t.Cleanup(func() { stop(); <-done })
}

// TestClientComesBack goes through the life of ubusd: absent, there, gone
// without a word, another one, and a socket that nobody serves.
func TestClientComesBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	events, told := make(chan Event, 16), make(chan Event, 16)
	o := &Object{Path: "ours", Methods: []Method{{Name: "m", Handle: func(_ context.Context, r *Request) error { return r.Reply(str("a", "b")) }}}}
	var mu sync.Mutex
	var changes []bool
	c := &Client{
		Path: path, Objects: []*Object{o},
		Listeners:     []Listener{{"x.*", func(e Event) { events <- e }}},
		Subscriptions: []Subscription{{"theirs", func(e Event) { told <- e }}},
		Changed:       func(s State) { mu.Lock(); changes = append(changes, s.Connected); mu.Unlock() },
	}
	if c.Emit("x", nil, nil, "") {
		t.Error("sent into nothing")
	}
	keep(t, c)
	waitFor(t, "absence", func() bool { return errors.Is(c.State().Err, ErrAbsent) })

	check := func(d *ubustest.Daemon) {
		t.Helper()
		waitFor(t, "connection", func() bool { return c.State().Connected && slices.Equal(d.Paths(), []string{"ours"}) })
		other := dial(t, path)
		if got, err := other.Call(t.Context(), "ours", "m", nil); err != nil || got.String("a") != "b" {
			t.Errorf("%v, %v", got, err)
		}
		if err := other.SendEvent(t.Context(), "x.y", nil); err != nil {
			t.Error(err)
		}
		<-events
		for range 2 { // theirs may go and come
			theirs := provide(t, other, "theirs", "m", nil)
			waitFor(t, "subscription", theirs.Subscribed)
			if err := other.Notify(theirs, "n", nil); err != nil {
				t.Error(err)
			}
			<-told
			if err := other.RemoveObject(t.Context(), theirs); err != nil {
				t.Error(err)
			}
		}
		heard := make(chan Event, 4)
		if err := other.Listen(t.Context(), "ours.*", func(e Event) { heard <- e }); err != nil {
			t.Error(err)
		}
		if err := other.Subscribe(t.Context(), "ours", func(e Event) { heard <- e }, nil); err != nil {
			t.Error(err)
		}
		waitFor(t, "subscriber", o.Subscribed)
		if !c.Emit("ours.up", str("k", "v"), o, "up") {
			t.Error("not sent")
		}
		a, b := <-heard, <-heard
		if names := []string{a.Name, b.Name}; !slices.Contains(names, "up") || !slices.Contains(names, "ours.up") || a.Data.String("k") != "v" {
			t.Errorf("%v", names)
		}
		other.Close()
	}
	d := ubustest.Start(t, path)
	check(d)
	d.Drop()
	waitFor(t, "loss", func() bool { mu.Lock(); defer mu.Unlock(); return len(changes) >= 3 })
	check(d)
	d.Stop()
	waitFor(t, "loss", func() bool { return !c.State().Connected })
	if c.Conn() != nil || o.ID() != 0 {
		t.Error("still something there")
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil { // no socket at all
		t.Fatal(err)
	}
	waitFor(t, "another reason", func() bool { err := c.State().Err; return err != nil && !errors.Is(err, ErrAbsent) })
	os.Remove(path)
	check(ubustest.Start(t, path))
}

// TestClientWithoutRights waits, says why, and sends no events it may not.
func TestClientWithoutRights(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	d := ubustest.Start(t, path, ubustest.Rule{User: "u", Publish: []string{"ours"}})
	d.As("u")
	c := &Client{Path: path, Objects: []*Object{{Path: "ours"}}}
	keep(t, c)
	waitFor(t, "connection", func() bool { return c.State().Connected })
	if !c.Emit("ours.x", nil, nil, "") {
		t.Error("not taken")
	}
	waitFor(t, "refusal", func() bool { s := c.State(); return s.Connected && s.Err != nil && c.Counters.Unsent.Load() == 1 })

	e := &Client{Path: path, Objects: []*Object{{Path: "theirs"}}}
	keep(t, e)
	waitFor(t, "refusal", func() bool { return e.State().Err != nil && !e.State().Connected })
}
