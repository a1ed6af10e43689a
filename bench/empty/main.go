// Command empty does nothing: what an exec of a Go program costs by itself.
package main

func main() {}
