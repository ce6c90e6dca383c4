package mesh

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/meshagent/meshagent/agent/batman"
	"github.com/meshagent/meshagent/agent/identity"
	"github.com/meshagent/meshagent/agent/pkt"
)

// sign gives all nodes but the last one an identity.
func (r *fuzzRun) sign() {
	r.jobTime = 20 * time.Millisecond
	for i, n := range r.nodes[:len(r.nodes)-1] {
		n.key = testKey(i)
		n.cfg.RequireSigned, n.cfg.VerifyRate = SignPolicy((i+1)%3), 5
		n.boot(Seqnos{})
		r.second(n)
	}
}

// hostileIdentity does what only matters where there are identities: OGMs with
// records, packets between agents, and what the caller of a Mesh may do.
func (r *fuzzRun) hostileIdentity(what byte) {
	n := r.node()
	switch what {
	case 10:
		from, orig := r.address(r.byte()), r.address(r.byte())
		seqno, kind := uint32(r.byte()), r.byte()
		rec, other, at, flip := bytes.Clone(r.bytes(int(r.byte()))), r.node(), int(r.byte()), r.byte()
		if s := other.m.id.self; s != nil && kind&1 != 0 { // a true record, perhaps changed
			rec = bytes.Clone(s.Record())
			if len(rec) > 0 && kind&2 != 0 {
				rec[at%len(rec)] ^= flip
			}
			if o := n.m.originator(orig); o != nil && len(o.routes) > 0 {
				seqno += o.routes[0].lastSeqno
			}
		}
		id := identity.RecordID(rec)
		v := append([]byte{0xa7, 0x10 | kind>>2&1}, id[:]...)
		v = append(append(v, make([]byte, 16)...), rec...)
		v = v[:len(v)&^1]
		tv := append(batman.AppendTVLV(nil, identity.TVLVType, 1, len(v)), v...)
		h := header(batman.OGMLen, batman.OGM{TTL: 50, Seqno: seqno, Orig: orig, Prev: from, TQ: 255, TVLVLen: uint16(len(tv))}.Put)
		if n.m.cfg.Algo == BatmanV {
			h = header(batman.OGM2Len, batman.OGM2{TTL: 50, Seqno: seqno, Orig: orig, TVLVLen: uint16(len(tv)), Throughput: 1000}.Put)
		}
		r.inject(n, int(kind>>3), from, batman.Broadcast, append(h, tv...))
	case 11:
		from, src, dst, kind := r.address(r.byte()), r.address(r.byte()), r.address(r.byte()), r.byte()
		h := header(identity.HeaderLen, identity.Header{Type: identity.PacketType, TTL: 50, Dst: dst, Src: src, Kind: kind % 7}.Put)
		r.inject(n, int(kind>>3), from, n.m.self(), append(h, r.bytes(int(r.byte())*2)...))
	case 12:
		r.callIdentity(n)
	}
	for _, k := range r.nodes {
		k.changes, k.overlay = k.changes[:0], k.overlay[:0]
		d := &k.m.id
		if len(d.asked) > maxAsked || len(d.signs) > maxSigns || len(d.contests) > maxContests {
			r.t.Fatalf("%d asked, %d to sign, %d contests", len(d.asked), len(d.signs), len(d.contests))
		}
	}
}

// callIdentity calls what only the daemon calls.
func (r *fuzzRun) callIdentity(n *wnode) {
	b, mac := r.byte(), r.address(r.byte())
	switch b % 7 {
	case 0:
		n.m.SetSelf(r.now, Self{Uplink: b&8 != 0, Clock: uint32(b), Certs: [][]byte{r.bytes(int(b))}}, &n.out)
	case 1:
		n.m.AskRecord(r.now, mac, &n.out)
	case 2:
		n.m.Avoid(r.now, mac, &n.out)
	case 3:
		p := r.pool.Get()
		p.Set(r.bytes(int(b) * 8))
		p.Addr = pkt.MACAddr(mac)
		n.m.SendOverlay(r.now, p, &n.out)
	case 4:
		if k := r.node(); k.key != nil {
			key, _ := k.key.Public().Identity()
			n.m.SetStanding(r.now, key, mac, b&8 != 0)
		}
	case 5:
		c := n.m.cfg
		c.RequireSigned, c.VerifyRate = SignPolicy(b/7%3), int(b%16)
		n.m.SetConfig(r.now, c, &n.out)
	case 6:
		n.m.JobDone(r.now, &identity.Job{}, &n.out)
	}
	n.drain()
}

// identitySeeds are programs for FuzzMesh with identities.
func identitySeeds() (seeds [][]byte) {
	rng := rand.New(rand.NewPCG(3, 4))
	for i := range 16 {
		p := []byte{0x80 | byte(i), byte(i), 1, 5}
		some := func(n int) {
			for range n {
				p = append(p, byte(rng.Uint32()))
			}
		}
		for range 90 {
			switch p = append(p, 10+byte(rng.IntN(3))); p[len(p)-1] {
			case 10: // node, station, originator, number, kind, length, node, change
				some(3)
				p = append(p, byte(rng.IntN(4)), byte(rng.IntN(8))|5, 0)
				some(3)
			case 11: // node, station, source, destination, kind, length
				some(2)
				p = append(p, byte(rng.IntN(16)), byte(rng.IntN(16)), byte(rng.IntN(7)), byte(rng.IntN(100)))
				some(2 * int(p[len(p)-1]))
			case 12:
				some(1)
				p = append(p, 1, byte(rng.IntN(16)))
			}
			p = append(p, 0, byte(rng.IntN(80)))
		}
		seeds = append(seeds, p)
	}
	return seeds
}

// The seeds reach what they are for.
func TestIdentitySeedsReach(t *testing.T) {
	sum := map[string]uint64{}
	for _, data := range identitySeeds() {
		if data[0]&1 != 0 {
			continue
		}
		algo := BatmanIV
		if data[0]&2 != 0 {
			algo = BatmanV
		}
		r := &fuzzRun{t: t, data: data[2:], net: newNet(t, uint64(data[1]), 3+int(data[0]>>2)%3, 900, algo)}
		r.sign()
		r.begin(false)
		r.pass(5 * time.Second)
		for steps := 0; len(r.data) > 0 && steps < 100; steps++ {
			r.hostile()
			r.check()
		}
		for _, n := range r.nodes {
			for name, d := range dropMap(&n.m.drops) {
				sum[name] += d
			}
			sum["checked"] += n.m.stats.idChecked
		}
	}
	for _, want := range []string{"forged", "bad-record", "checked", "unasked"} {
		if sum[want] == 0 {
			t.Errorf("no %s: %v", want, sum)
		}
	}
}
