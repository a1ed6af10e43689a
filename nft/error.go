package nft

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// explain adds the cause to errors that do not depend on the request.
func explain(err error) error {
	switch {
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("needs CAP_NET_ADMIN (root): %w", err)
	case errors.Is(err, unix.EPROTONOSUPPORT), errors.Is(err, unix.EINVAL):
		return fmt.Errorf("the kernel has no nftables (module nf_tables): %w", err)
	}
	return err
}

// explainWrite is explain for a transaction.
func explainWrite(err error) error {
	switch {
	case errors.Is(err, os.ErrPermission):
		return explain(err)
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EAFNOSUPPORT):
		return fmt.Errorf("another program changed the table at the same time, or the kernel lacks a part of nftables "+
			"(modules nft_chain_nat, nft_masq, nft_fib_inet, nft_ct): %w", err)
	}
	return err
}
