package mesh

import (
	"fmt"
	"testing"

	"github.com/meshagent/meshagent/agent/batman"
)

func BenchmarkTT(b *testing.B) {
	w := newTTNet(b, 60)
	nd := w.nodes[0]
	for i := range 50 {
		var e []byte
		for c := range 40 {
			e = batman.TTEntry{Client: testClient(40*i + c)}.Append(e)
		}
		nd.m.ttReplace(w.now, nd.of(i+1), e, 1, &nd.out)
	}
	for c := range 100 {
		nd.learn(testClient(100000+c), 0)
	}
	b.Run("find", func(b *testing.B) {
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			if o, _ := nd.m.ttFind(testClient(i%2000), 0); o == nil {
				b.Fatal(i)
			}
			i++
		}
	})
	b.Run("local", func(b *testing.B) {
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			if mine, _ := nd.m.ttLocal(testClient(100000+i%100), 0); !mine {
				b.Fatal(i)
			}
			i++
		}
	})
	b.Run("learn", func(b *testing.B) {
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			nd.m.ttLearn(w.now, testClient(100000+i%100), 0, 0, &nd.out)
			i++
		}
	})
	b.Run("temp", func(b *testing.B) {
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			nd.m.ttTemp(w.now, nd.of(1+i%2000/40), testClient(i%2000), 0)
			i++
		}
	})
	for _, n := range []int{40, 1000} {
		b.Run(fmt.Sprintf("table=%d", n), func(b *testing.B) {
			var e []byte
			for c := range n {
				e = batman.TTEntry{Client: testClient(200000 + c)}.Append(e)
			}
			b.ReportAllocs()
			for b.Loop() {
				nd.m.ttReplace(w.now, nd.of(59), e, 1, &nd.out)
			}
		})
	}
}

// TestTTAllocs: what runs for each frame allocates nothing.
func TestTTAllocs(t *testing.T) {
	w := newTTNet(t, 3)
	nd := w.nodes[0]
	nd.learn(testClient(1), 0x800a)
	w.nodes[1].learn(testClient(2), 0x800a)
	for range 3 {
		w.second()
	}
	called := 0
	f := func(*Originator) { called++ }
	if n := testing.AllocsPerRun(100, func() {
		nd.m.ttLearn(w.now, testClient(1), 0x800a, 0, &nd.out)
		nd.m.ttLocal(testClient(1), 0x800a)
		nd.m.ttFind(testClient(2), 0x800a)
		nd.m.ttTemp(w.now, nd.of(1), testClient(2), 0x800a)
		nd.m.ttIsolated(testClient(1), testClient(2), 0x800a)
		nd.m.ttEach(testClient(2), 0x800a, f)
		nd.m.ttHas(nd.of(1), testClient(2), 0x800a)
	}); n != 0 || called == 0 {
		t.Errorf("%v allocations, %d called", n, called)
	}
}
