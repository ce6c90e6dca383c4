package mesh

import (
	"time"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/mono"
)

// Bounds of the ARP cache. MaxDAT entries cost about 400 kB.
const (
	MaxDAT     = 8192
	datReserve = MaxDAT / 4 // that only frames of our own clients may fill
	datTimeout = 5 * time.Minute
	datSweep   = 10 * time.Second // between looks for dead entries
	datProof   = time.Second      // an entry seen again after this long is no accident
	datTries   = 8                // entries to look at for one that may go
)

// datCache keeps which MAC has which IPv4 address. It is bounded, and a flood
// of invented addresses cannot push out the real ones:
//   - when it is full, a new entry may take the place only of one that was
//     never confirmed by a second frame; if the few that are looked at are
//     all confirmed, the new one is not kept;
//   - the last quarter is for what our own clients say.
//
// An address that is not kept costs nobody a connection: the mesh then floods
// the ARP request, as it does without the table.
type datCache struct {
	index map[uint64]uint16 // by datKey: place in list
	list  []datEntry
	hand  int       // where to look next for an entry that may go
	sweep mono.Time // when to look for dead ones
}

// datEntry is one address.
type datEntry struct {
	key    uint64
	mac    batman.MAC
	proven bool
	first  mono.Time
	seen   mono.Time
}

func datKey(ip [4]byte, v batman.VID) uint64 {
	return uint64(ip[0])<<40 | uint64(ip[1])<<32 | uint64(ip[2])<<24 | uint64(ip[3])<<16 | uint64(v)
}

// find returns the MAC of an address.
func (c *datCache) find(now mono.Time, key uint64) (batman.MAC, bool) {
	i, ok := c.index[key]
	if !ok || now.Sub(c.list[i].seen) >= datTimeout {
		return batman.MAC{}, false
	}
	return c.list[i].mac, true
}

// learn stores or refreshes an address. own: one of our clients says so.
func (c *datCache) learn(now mono.Time, key uint64, mac batman.MAC, own bool) {
	if i, ok := c.index[key]; ok {
		e := &c.list[i]
		e.proven = e.proven || now.Sub(e.first) >= datProof
		e.mac, e.seen = mac, now
		return
	}
	n := datEntry{key: key, mac: mac, first: now, seen: now}
	room := MaxDAT
	if !own {
		room -= datReserve
	}
	if len(c.list) < room {
		c.index[key] = uint16(len(c.list))
		c.list = append(c.list, n)
		return
	}
	for range datTries {
		c.hand++
		if c.hand >= len(c.list) {
			c.hand = 0
		}
		if e := &c.list[c.hand]; !e.proven && now.Sub(e.first) >= datProof || now.Sub(e.seen) >= datTimeout {
			delete(c.index, e.key)
			c.index[key] = uint16(c.hand)
			*e = n
			return
		}
	}
}

// expire forgets what nobody spoke of for five minutes.
func (c *datCache) expire(now mono.Time) {
	if now < c.sweep {
		return
	}
	c.sweep = now.Add(datSweep)
	for i := 0; i < len(c.list); {
		if now.Sub(c.list[i].seen) < datTimeout {
			i++
			continue
		}
		delete(c.index, c.list[i].key)
		last := len(c.list) - 1
		if i < last {
			c.list[i] = c.list[last]
			c.index[c.list[i].key] = uint16(i)
		}
		c.list = c.list[:last]
	}
}
