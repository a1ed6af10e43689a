package eval

import "golang.org/x/sys/unix"

// registers are nftables' registers: 64 bytes that expressions load and compare.
type registers struct {
	value, known [64]byte
	unsupported  [16]bool // by register of 4 bytes, as in bits
	hasBlank     [16]bool // by register of 4 bytes, as in bits
}

// invalidate marks all registers as unsupported, after an unsupported expression that may have loaded them.
func (r *registers) invalidate() {
	r.known = [len(r.known)]byte{}
	for i := range r.unsupported {
		r.unsupported[i] = true
	}
}

// registerOffset returns the position of a register: 1 to 4 have 16 bytes, 8 to 23 have 4.
func registerOffset(register uint32) (offset int, ok bool) {
	switch {
	case register >= unix.NFT_REG_1 && register <= unix.NFT_REG_4:
		return int(register-unix.NFT_REG_1) * 16, true
	case register >= unix.NFT_REG32_00 && register <= unix.NFT_REG32_15:
		return int(register-unix.NFT_REG32_00) * 4, true
	}
	return 0, false
}

// load returns n bytes, from the start of a register on.
func (r *registers) load(register uint32, n int) bits {
	from, ok := registerOffset(register)
	if !ok || from+n > len(r.value) {
		return unsupportedBits(n)
	}
	b := bits{value: r.value[from : from+n], known: r.known[from : from+n]}
	for i := from / 4; i < (from+n+3)/4; i++ {
		b.unsupported, b.hasBlank = b.unsupported || r.unsupported[i], b.hasBlank || r.hasBlank[i]
	}
	return b
}

// store writes bytes to a register, and zeros up to its end, as the kernel does.
func (r *registers) store(register uint32, b bits) {
	from, ok := registerOffset(register)
	end := from + (len(b.value)+3)/4*4
	if !ok || end > len(r.value) {
		r.invalidate()
		return
	}
	blank := b.hasBlank || isZero(b.known)
	for i := from; i < end; i++ {
		r.value[i], r.known[i], r.unsupported[i/4], r.hasBlank[i/4] = 0, 0xff, b.unsupported, blank
	}
	copy(r.value[from:], b.value)
	copy(r.known[from:], b.known)
}
