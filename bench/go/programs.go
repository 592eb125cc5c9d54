package main

import (
	"fmt"
	"os"
	"runtime"
	"sort"
	"sync"
	"time"
)

const (
	primes  = 500
	prime   = 3571
	members = 10000
	fibOf   = 22
	fibIs   = 17711
)

func require(ok bool, what string, found int) {
	if !ok {
		fmt.Fprintln(os.Stderr, what, found)
		os.Exit(1)
	}
}

// ---- mutex

func mutex(n int) time.Duration {
	var mu sync.Mutex
	start := time.Now()
	for i := 0; i < n; i++ {
		mu.Lock()
		mu.Unlock()
	}
	return time.Since(start)
}

//go:noinline
func locked(mu *sync.Mutex) {
	mu.Lock()
	defer mu.Unlock()
}

func mutexWith(n int) time.Duration {
	var mu sync.Mutex
	start := time.Now()
	for i := 0; i < n; i++ {
		locked(&mu)
	}
	return time.Since(start)
}

// ---- sieve

func count(out chan<- int) {
	for i := 2; i <= prime; i++ {
		out <- i
	}
}

func sift(source <-chan int, out chan<- int, prime int) {
	for {
		if i := <-source; i%prime != 0 {
			out <- i
		}
	}
}

func sieveTo(n int) (last int, took time.Duration) {
	start := time.Now()
	source := make(chan int)
	go count(source)
	for i := 0; i < n; i++ {
		last = <-source
		out := make(chan int)
		go sift(source, out, last)
		source = out
	}
	return last, time.Since(start)
}

func sieve(Scale) Metrics {
	sieveTo(primes / 10)
	last, took := sieveTo(primes)
	require(last == prime, "not the 500th prime:", last)
	return Metrics{"sieve": float64(took) / 1e6}
}

// ---- ring

func ring(n int) time.Duration {
	done := make(chan struct{})
	member := func(source <-chan int, out chan<- int) {
		for left := range source {
			if left == 0 {
				done <- struct{}{}
			} else {
				out <- left - 1
			}
		}
	}
	links := make([]chan int, members)
	for i := range links {
		links[i] = make(chan int)
	}
	for i := range links {
		go member(links[(i+members-1)%members], links[i])
	}
	var took time.Duration
	for _, hops := range []int{members, n} {
		start := time.Now()
		links[0] <- hops
		<-done
		took = time.Since(start)
	}
	for _, link := range links {
		close(link)
	}
	return took
}

// ---- fork-join

func fib(n int, result chan<- int) {
	if n < 2 {
		result <- n
		return
	}
	both := make(chan int, 2)
	go fib(n-1, both)
	go fib(n-2, both)
	result <- <-both + <-both
}

func timedFib(procs int) float64 {
	runtime.GOMAXPROCS(procs)
	result := make(chan int, 1)
	start := time.Now()
	fib(fibOf, result)
	took := time.Since(start)
	found := <-result
	require(found == fibIs, "not fib(22):", found)
	return float64(took) / 1e6
}

func fib1(Scale) Metrics {
	timedFib(1)
	return Metrics{"fib": timedFib(1)}
}

func fib2(Scale) Metrics {
	timedFib(2)
	var times, ratios []float64
	for i := 0; i < pairs; i++ {
		one, two := timedFib(1), timedFib(2)
		times = append(times, two)
		ratios = append(ratios, one/two)
	}
	sort.Float64s(times)
	sort.Float64s(ratios)
	return Metrics{"fib-2": times[pairs/2], "speedup": ratios[pairs/2]}
}
