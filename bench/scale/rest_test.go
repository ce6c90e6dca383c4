package main

import "testing"

func TestSumDev(t *testing.T) {
	const text = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:     100       2    0    0    0     0          0         0      100       2    0    0    0     0       0          0
    c0:    1000      10    0    0    0     0          0         0     3000      30    0    0    0     0       0          0
   c12:       5       1    0    0    0     0          0         0       70       7    0    0    0     0       0          0
`
	if got := sumDev(text); got != [2]int64{3070, 37} {
		t.Errorf("sent %v bytes and packets", got)
	}
}
