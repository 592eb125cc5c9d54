package main

import (
	"os"
	"runtime"
	"sync"
	"time"
)

const batch = 1000

func yield(n int) time.Duration {
	var wg sync.WaitGroup
	turns := func() {
		defer wg.Done()
		for i := 0; i < n/2; i++ {
			runtime.Gosched()
		}
	}
	start := time.Now()
	wg.Add(2)
	go turns()
	go turns()
	wg.Wait()
	return time.Since(start)
}

func spawn(n int) time.Duration {
	var wg sync.WaitGroup
	start := time.Now()
	for left := n; left > 0; left -= batch {
		size := min(left, batch)
		wg.Add(size)
		for i := 0; i < size; i++ {
			go wg.Done()
		}
		wg.Wait()
	}
	return time.Since(start)
}

func spawnAwait(n int) time.Duration {
	result := make(chan int, 1)
	value := func() { result <- 1 }
	start := time.Now()
	for i := 0; i < n; i++ {
		go value()
		<-result
	}
	return time.Since(start)
}

func stat(n int) time.Duration {
	path, err := os.Executable()
	must(err)
	start := time.Now()
	for i := 0; i < n; i++ {
		_, err := os.Stat(path)
		must(err)
	}
	return time.Since(start)
}
