package kernel

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Change is news about network devices.
type Change struct {
	Links  Links // all of them, after the change
	Resync bool  // the kernel lost notifications; Links is complete all the same
}

// settle is how long Watch lets notifications gather: bringing up a radio
// makes dozens.
const settle = 100 * time.Millisecond

// Watch reports the network devices and addresses once at the start and then
// after every change, until ctx ends; then the channel is closed. Changes that
// come together are reported together, and those that cancel out are not
// reported. A receiver that is busy delays the next report and misses nothing.
func Watch(ctx context.Context) (<-chan Change, error) {
	events, err := dial(unix.NETLINK_ROUTE, unix.RTMGRP_LINK|unix.RTMGRP_IPV4_IFADDR|unix.RTMGRP_IPV6_IFADDR)
	if err != nil {
		return nil, explain("watch network devices", err)
	}
	query, err := dialRoute()
	if err != nil {
		events.Close()
		return nil, explain("watch network devices", err)
	}
	first, err := list(query)
	if err != nil {
		events.Close()
		query.Close()
		return nil, err
	}
	w := &watcher{events: events, query: query, last: first, out: make(chan Change), dirty: make(chan struct{}, 1), done: make(chan struct{})}
	go w.listen()
	go w.run(ctx)
	return w.out, nil
}

// watcher has two goroutines: listen turns notifications into a mark, run
// turns marks into reports. listen writes dirty and lost, run reads them.
type watcher struct {
	events *socket
	query  routeConn
	last   Links
	out    chan Change
	dirty  chan struct{} // length 1: a mark, not a queue; a second mark says nothing new
	lost   atomic.Bool
	done   chan struct{} // closed when listen has ended
}

// listen ends when events is closed.
func (w *watcher) listen() {
	defer close(w.done)
	for {
		_, err := w.events.Receive()
		switch {
		case err == nil:
		case errors.Is(err, unix.ENOBUFS):
			w.lost.Store(true)
		default:
			return
		}
		select {
		case w.dirty <- struct{}{}:
		default:
		}
	}
}

func (w *watcher) run(ctx context.Context) {
	defer func() {
		w.events.Close()
		<-w.done
		w.query.Close()
		close(w.out)
	}()
	report := Change{Links: w.last}
	for {
		select {
		case <-ctx.Done():
			return
		case w.out <- report:
		}
		var ok bool
		if report, ok = w.next(ctx); !ok {
			return
		}
	}
}

// next waits for a change that shows.
func (w *watcher) next(ctx context.Context) (Change, bool) {
	for {
		select {
		case <-ctx.Done():
			return Change{}, false
		case <-w.done: // the socket died; what is reported from here on would be stale
			return Change{}, false
		case <-w.dirty:
		}
		select {
		case <-ctx.Done():
			return Change{}, false
		case <-time.After(settle):
		}
		select { // what came meanwhile is in the list too
		case <-w.dirty:
		default:
		}
		lost := w.lost.Swap(false)
		l, err := list(w.query)
		if err != nil { // a list that was interrupted; try again
			w.lost.Store(lost)
			select {
			case w.dirty <- struct{}{}:
			default:
			}
			continue
		}
		if lost || !slices.EqualFunc(l, w.last, Interface.equal) {
			w.last = l
			return Change{Links: l, Resync: lost}, true
		}
	}
}
