package main

import (
	"runtime"
	"sort"
	"sync"
	"time"
)

const pairs = 3

//go:noinline
func loop(n int) (total int) {
	for i := 0; i < n; i++ {
		total += i & 7
	}
	return total
}

func loops(n, procs int) time.Duration {
	runtime.GOMAXPROCS(procs)
	var wg sync.WaitGroup
	start := time.Now()
	wg.Add(procs)
	for i := 0; i < procs; i++ {
		go func() {
			defer wg.Done()
			loop(n / procs)
		}()
	}
	wg.Wait()
	return time.Since(start)
}

func speedup(scale Scale) Metrics {
	n := enough(func(n int) time.Duration { return loops(n, 1) }, scale.Seconds)
	loops(n, 2)
	var ratios []float64
	for i := 0; i < pairs; i++ {
		ratios = append(ratios, float64(loops(n, 1))/float64(loops(n, 2)))
	}
	sort.Float64s(ratios)
	return Metrics{"speedup": ratios[pairs/2]}
}
