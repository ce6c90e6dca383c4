// Command crash is what the tests of package slim run: it leans on all that the
// runtime reads from its tables, and then ends as its argument says.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"syscall"
	"time"
)

type tree struct {
	left, right *tree
	pad         [3]int
}

func grow(depth int) *tree {
	if depth == 0 {
		return &tree{}
	}
	return &tree{left: grow(depth - 1), right: grow(depth - 1)}
}

func (t *tree) count() int {
	if t == nil {
		return 0
	}
	return 1 + t.left.count() + t.right.count()
}

// deep needs a stack that is copied many times, with pointers into itself.
func deep(n int, up *int) int {
	here := *up + 1
	if n == 0 {
		runtime.GC()
		return here
	}
	return deep(n-1, &here)
}

// recovered is a panic in a deferred call in a panic, twice recovered.
func recovered(n int) (err error) {
	defer func() { err = fmt.Errorf("recovered %v", recover()) }()
	defer func() {
		defer func() { _ = recover() }()
		panic("inner")
	}()
	var a []int
	return fmt.Errorf("never %d", a[n])
}

// spin has no call in its loop: only a signal can stop it.
//
//go:noinline
func spin(stop *int, until int) (n int) {
	for *stop < until {
		n++
		*stop += n & 1
	}
	return n
}

func work() error {
	var wait sync.WaitGroup
	sums := make([]int, 8)
	for i := range sums {
		wait.Add(1)
		go func() {
			defer wait.Done()
			zero := 0
			for range 2 {
				sums[i] += grow(10).count() + deep(2000, &zero)
			}
			if i == 0 {
				sums[i] -= spin(&zero, 1_000_000) - 2_000_000
			}
		}()
	}
	wait.Wait()
	for i, n := range sums {
		if want := 2 * (2047 + 2001); n-want > 1 || want-n > 1 {
			return fmt.Errorf("goroutine %d counted %d, want %d", i, n, want)
		}
	}
	if err := recovered(3); err == nil || err.Error() != "recovered runtime error: index out of range [3] with length 0" {
		return fmt.Errorf("panic gave %w", err)
	}
	notify := make(chan os.Signal, 1)
	signal.Notify(notify, syscall.SIGUSR1)
	if err := syscall.Kill(os.Getpid(), syscall.SIGUSR1); err != nil {
		return err
	}
	<-notify
	if _, _, line, _ := runtime.Caller(0); line != 0 {
		return fmt.Errorf("line %d is known: the program is not slim", line)
	}
	return nil
}

//go:noinline
func outer(how string, t *tree) {
	switch how {
	case "panic":
		panic("on purpose")
	case "nil":
		fmt.Println(t.pad[1])
	case "map":
		// A concurrent use of a map cannot be caught: the runtime throws.
		m := map[int]int{}
		for range 2 {
			go func() {
				for i := 0; ; i++ {
					m[i&7] = i
				}
			}()
		}
		select {}
	case "quit":
		go waits(make(chan int))
		time.Sleep(100 * time.Millisecond)
		_ = syscall.Kill(os.Getpid(), syscall.SIGQUIT)
		select {}
	}
}

//go:noinline
func waits(c chan int) { <-c }

func main() {
	runtime.GOMAXPROCS(2)
	if err := work(); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("worked")
	outer(os.Args[1], nil)
}
