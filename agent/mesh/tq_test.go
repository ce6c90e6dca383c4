package mesh

import "testing"

// Values of the kernel's formula, done by hand with its integer divisions.
func TestLinkTQ(t *testing.T) {
	for _, c := range []struct {
		tq             uint8
		echo, received int
		ifp            uint32
		want           uint8
	}{
		{255, 64, 64, 255, 255}, // a perfect link takes nothing, and nothing overflows
		{255, 1, 1, 255, 12},    // the first OGM that counts: 255-255*63^3/64^3
		{255, 0, 64, 255, 0},    // it does not hear us
		{255, 64, 0, 255, 0},    // we do not hear it
		{255, 64, 32, 255, 224}, // we hear half: the asymmetry penalty alone
		{255, 32, 64, 255, 127}, // it hears half
		{255, 64, 16, 255, 148}, // more echoes than OGMs: never above 100 %
		{255, 8, 16, 255, 73},   // 127*148/255
		{225, 64, 64, 255, 225}, // what the path was worth before
		{1, 63, 64, 255, 0},     // truncated, not rounded
		{255, 64, 64, 245, 245}, // interface penalty of 10
		{255, 64, 64, 225, 225}, // half duplex Wi-Fi
		{200, 50, 60, 240, 156},
	} {
		if got := linkTQ(c.tq, c.echo, c.received, c.ifp); got != c.want {
			t.Errorf("linkTQ(%d, %d, %d, %d) = %d, want %d", c.tq, c.echo, c.received, c.ifp, got, c.want)
		}
	}
}

func TestAfterHop(t *testing.T) {
	for _, c := range []struct{ tq, penalty, want uint8 }{{255, 30, 225}, {255, 0, 255}, {255, 255, 0}, {1, 30, 0}, {0, 30, 0}, {100, 30, 88}, {22, 30, 19}} {
		if got := afterHop(c.tq, c.penalty); got != c.want {
			t.Errorf("afterHop(%d, %d) = %d, want %d", c.tq, c.penalty, got, c.want)
		}
	}
}

// The mean leaves zeros out: a way by which few OGMs come first is worth as
// much as those few say.
func TestTQRing(t *testing.T) {
	var r tqRing
	for i, c := range []struct{ push, want uint8 }{{100, 100}, {0, 100}, {51, 75}, {0, 75}, {0, 75}, {0, 51}, {0, 51}, {0, 0}, {255, 255}, {254, 254}} {
		if r.push(c.push); r.avg != c.want {
			t.Errorf("step %d: mean %d, want %d", i, r.avg, c.want)
		}
	}
}
