package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/behalf-dev/behalf/pkg/fault"
)

// encode writes a record. Who calls it has set its format version.
func encode(record any) ([]byte, error) {
	data, err := json.Marshal(record)
	return data, fault.Wrap(fault.Internal, "store.encode", err)
}

// decode reads a record. Fields that a later release added are passed over. One without a format version is none of
// ours.
func decode[T any](data []byte) (T, error) {
	var none, record T
	var format struct {
		V int `json:"v"`
	}
	if err := json.Unmarshal(data, &format); err != nil {
		return none, fault.Wrap(fault.Internal, "store.decode", err)
	}
	if format.V < 1 {
		return none, fault.Wrap(fault.Internal, "store.decode", errors.New("the record carries no format version"))
	}
	if err := json.Unmarshal(data, &record); err != nil {
		return none, fault.Wrap(fault.Internal, "store.decode", err)
	}
	return record, nil
}

func decodeAll[T any](entries map[string]entry, decode func([]byte) (T, error)) ([]T, error) {
	all := make([]T, 0, len(entries))
	for _, key := range slices.Sorted(maps.Keys(entries)) {
		record, err := decode(entries[key].value)
		if err != nil {
			return nil, fmt.Errorf("key %s: %w", key, err)
		}
		all = append(all, record)
	}
	return all, nil
}
