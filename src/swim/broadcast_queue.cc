#include "swim/broadcast_queue.h"

namespace shoal::swim {

bool BroadcastQueue::Key::before(const Key& other) const {
  if (transmits != other.transmits) return transmits < other.transmits;
  if (size != other.size) return size > other.size;
  return token > other.token;
}

BroadcastQueue::BroadcastQueue(std::size_t capacity)
    : small_(capacity), large_(capacity), order_(capacity), taken_(kTakenMax) {}

void BroadcastQueue::drop(std::uint64_t key) {
  for (std::size_t i = 0; i < order_.size(); ++i) {
    if (order_[i].name == key) return remove(i);
  }
}

BroadcastQueue::Token BroadcastQueue::push(Bytes message, std::uint64_t key) {
  if (message.empty() || message.size() > kMessageBytesMax) {
    ++dropped_;
    return 0;
  }
  if (key != 0) drop(key);
  if (order_.full()) {
    remove(order_.size() - 1);
    ++dropped_;
  }
  const std::uint32_t slot = message.size() <= kSmallBytesMax ? small_.put(message) : large_.put(message);
  const Token token = ++last_token_;
  insert(Key{0, static_cast<std::uint32_t>(message.size()), token, key, slot});
  return token;
}

bool BroadcastQueue::pending(Token token) const {
  for (const Key& key : order_) {
    if (key.token == token) return true;
  }
  return false;
}

std::size_t BroadcastQueue::next_fit(std::size_t budget, std::size_t overhead) const {
  std::size_t at = 0;
  while (at < order_.size()) {
    const Key& key = order_[at];
    if (key.size + overhead <= budget) return at;
    if (budget <= overhead) return kNone;
    // Within this tier, jump to the first one that is small enough.
    const Key fits{key.transmits, static_cast<std::uint32_t>(budget - overhead), ~Token{0}, 0, 0};
    at = lower_bound(fits);
    if (at < order_.size() && order_[at].transmits == key.transmits) return at;
  }
  return kNone;
}

std::size_t BroadcastQueue::lower_bound(const Key& key) const {
  std::size_t low = 0;
  std::size_t high = order_.size();
  while (low < high) {
    const std::size_t middle = (low + high) / 2;
    if (order_[middle].before(key)) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

void BroadcastQueue::insert(const Key& key) { order_.insert(lower_bound(key), key); }

void BroadcastQueue::remove(std::size_t at) {
  take_away(order_[at]);
  order_.erase(at);
}

void BroadcastQueue::put_back(std::uint32_t limit) {
  for (Key key : taken_) {
    ++key.transmits;
    if (key.transmits >= limit) {
      take_away(key);
    } else {
      insert(key);
    }
  }
  taken_.clear();
}

}  // namespace shoal::swim
