package kernel

import (
	"context"
	"errors"
	"sync"

	"golang.org/x/sys/unix"
)

// WifiChange is one kind of news about radios.
type WifiChange uint8

// Values of WifiChange.
const (
	WifiStationNew  WifiChange = iota // MAC came to Index
	WifiStationGone                   // MAC left Index
	WifiRules                         // what the country allows has changed
	WifiScan                          // a scan has ended
	WifiChannel                       // Index is on another channel
	WifiIfaces                        // interfaces came or went, or joined a network
	WifiPhys                          // radios came or went
	WifiLost                          // the kernel lost news: look at everything
)

// WifiEvent is news about radios.
type WifiEvent struct {
	What  WifiChange
	Index int // of the network device
	MAC   [6]byte
}

// WatchWifi reports news until ctx ends or the kernel's nl80211 goes away; then
// the channel is closed. The caller must read. Without nl80211 the error is
// ErrNoWifi.
func WatchWifi(ctx context.Context) (<-chan WifiEvent, error) {
	w, err := OpenWifi()
	if err != nil {
		return nil, err
	}
	for _, g := range [...]string{
		unix.NL80211_MULTICAST_GROUP_CONFIG, unix.NL80211_MULTICAST_GROUP_SCAN, unix.NL80211_MULTICAST_GROUP_REG, unix.NL80211_MULTICAST_GROUP_MLME,
	} {
		if id := w.c.groups[g]; id != 0 && err == nil {
			err = w.c.JoinGroup(id)
		}
	}
	if err != nil {
		w.Close()
		return nil, explain("watch radios", err)
	}
	out := make(chan WifiEvent)
	closed := sync.OnceFunc(w.Close)
	stop := context.AfterFunc(ctx, closed)
	go func() {
		defer close(out)
		defer stop()
		defer closed()
		w.listen(ctx, out)
	}()
	return out, nil
}

// listen ends when the socket is closed or dies.
func (w *Wifi) listen(ctx context.Context, out chan<- WifiEvent) {
	for {
		msgs, err := w.c.Receive()
		if errors.Is(err, unix.ENOBUFS) {
			if !send(ctx, out, WifiEvent{What: WifiLost}) {
				return
			}
			continue
		}
		if err != nil {
			return
		}
		for _, m := range msgs {
			if e, ok := parseWifiEvent(m.Data); ok && !send(ctx, out, e) {
				return
			}
		}
	}
}

func send(ctx context.Context, out chan<- WifiEvent, e WifiEvent) bool {
	select {
	case out <- e:
		return true
	case <-ctx.Done():
		return false
	}
}

// parseWifiEvent reads a notification, with its generic netlink header; false
// if it is of no interest or makes no sense.
func parseWifiEvent(b []byte) (e WifiEvent, ok bool) {
	if len(b) < genlHeader {
		return e, false
	}
	switch b[0] {
	case unix.NL80211_CMD_NEW_STATION:
		e.What = WifiStationNew
	case unix.NL80211_CMD_DEL_STATION:
		e.What = WifiStationGone
	case unix.NL80211_CMD_REG_CHANGE, unix.NL80211_CMD_WIPHY_REG_CHANGE:
		e.What = WifiRules
	case unix.NL80211_CMD_NEW_SCAN_RESULTS:
		e.What = WifiScan
	case unix.NL80211_CMD_CH_SWITCH_NOTIFY:
		e.What = WifiChannel
	case unix.NL80211_CMD_NEW_INTERFACE, unix.NL80211_CMD_DEL_INTERFACE, unix.NL80211_CMD_SET_INTERFACE, unix.NL80211_CMD_JOIN_IBSS:
		e.What = WifiIfaces
	case unix.NL80211_CMD_NEW_WIPHY, unix.NL80211_CMD_DEL_WIPHY:
		e.What = WifiPhys
	default:
		return e, false
	}
	err := attrs(b[genlHeader:], func(typ uint16, v attr) error {
		switch typ {
		case unix.NL80211_ATTR_IFINDEX:
			e.Index = int(v.u32())
		case unix.NL80211_ATTR_MAC:
			e.MAC = v.mac()
		}
		return nil
	})
	return e, err == nil
}
