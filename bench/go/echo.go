package main

import (
	"net"
	"os"
	"strconv"
)

const buffer = 65536

func serve(fd string) {
	number, err := strconv.Atoi(fd)
	must(err)
	listener, err := net.FileListener(os.NewFile(uintptr(number), "listener"))
	must(err)
	for {
		conn, err := listener.Accept()
		must(err)
		go echo(conn)
	}
}

func echo(conn net.Conn) {
	defer conn.Close()
	data := make([]byte, buffer)
	for {
		n, err := conn.Read(data)
		if err != nil {
			return
		}
		if _, err := conn.Write(data[:n]); err != nil {
			return
		}
	}
}
