"""The scheduler: one mechanism a module, named as in Go's runtime."""
