package main

import "time"

const capacity = 100

func pingpong(n int) time.Duration {
	ping, pong := make(chan int), make(chan int)
	go func() {
		for i := 0; i < n; i++ {
			pong <- <-ping
		}
	}()
	start := time.Now()
	for i := 0; i < n; i++ {
		ping <- i
		<-pong
	}
	return time.Since(start)
}

func buffered(n int) time.Duration {
	items := make(chan int, capacity)
	go func() {
		for i := 0; i < n; i++ {
			items <- i
		}
	}()
	start := time.Now()
	for i := 0; i < n; i++ {
		<-items
	}
	return time.Since(start)
}

func selectTwo(n int) time.Duration {
	a, b := make(chan int), make(chan int)
	produce := func(ch chan int) {
		for i := 0; i < n/2; i++ {
			ch <- i
		}
	}
	go produce(a)
	go produce(b)
	start := time.Now()
	for i := 0; i < n/2*2; i++ {
		select {
		case <-a:
		case <-b:
		}
	}
	return time.Since(start)
}
