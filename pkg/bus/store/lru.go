package store

import "container/list"

// lru keeps what was used last, up to a weight. It is not safe for concurrent use.
type lru[T any] struct {
	max, weight int
	order       *list.List // of *lruItem[T], the last used in front
	items       map[string]*list.Element
}

type lruItem[T any] struct {
	key    string
	value  T
	weight int
}

func newLRU[T any](maxWeight int) *lru[T] {
	return &lru[T]{max: maxWeight, order: list.New(), items: map[string]*list.Element{}}
}

func (l *lru[T]) find(key string) (T, bool) {
	e, ok := l.items[key]
	if !ok {
		var none T
		return none, false
	}
	l.order.MoveToFront(e)
	return item[T](e).value, true
}

// add keeps a value. One that is heavier than all there may be is not kept.
func (l *lru[T]) add(key string, value T, weight int) {
	l.remove(key)
	if weight > l.max {
		return
	}
	l.items[key] = l.order.PushFront(&lruItem[T]{key, value, weight})
	l.weight += weight
	for l.weight > l.max {
		l.remove(item[T](l.order.Back()).key)
	}
}

func (l *lru[T]) remove(key string) {
	if e, ok := l.items[key]; ok {
		l.order.Remove(e)
		delete(l.items, key)
		l.weight -= item[T](e).weight
	}
}

func (l *lru[T]) empty() {
	l.order.Init()
	clear(l.items)
	l.weight = 0
}

func item[T any](e *list.Element) *lruItem[T] {
	return e.Value.(*lruItem[T]) // nothing else is ever put into the list
}
