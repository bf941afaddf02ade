// Messages that wait to be gossiped, each a bounded number of times. Order: fewest transmissions first, within that the
// larger first, then the newer; only what fits the space that is left. Source: gossip-protocol facts 3.4.
#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "base/containers.h"

namespace shoal::swim {

class BroadcastQueue {
 public:
  static constexpr std::size_t kMessageBytesMax = 1400;  // A larger one could never be gossiped.
  using Token = std::uint64_t;                           // 0 = none.

  explicit BroadcastQueue(std::size_t capacity);

  /// Queues a copy. A message with the same non-zero `key` is replaced: it counts as finished. When the queue is full
  /// the most transmitted message is dropped (also finished, counted). Too large: dropped, counted, token 0.
  Token push(Bytes message, std::uint64_t key = 0);

  /// Takes back the message with this non-zero `key`, if one waits: it counts as finished.
  void drop(std::uint64_t key);

  /// Hands out messages that fit into `budget` bytes, each costing its size plus `overhead`, at most `count_max`. Each
  /// counts one transmission; at `limit` of them it is finished. `f(Bytes)`; returns the budget that is left.
  template <typename F>
  std::size_t take(std::size_t budget, std::size_t overhead, std::uint32_t limit, std::size_t count_max, F&& f) {
    taken_.clear();
    while (taken_.size() < count_max && !taken_.full()) {
      const std::size_t at = next_fit(budget, overhead);
      if (at == kNone) break;
      const Key key = order_[at];
      f(view(key));
      budget -= key.size + overhead;
      order_.erase(at);
      taken_.push_back(key);
    }
    put_back(limit);
    return budget;
  }

  /// The same without counting: for a receiver that is most likely dead, so that a message's few transmissions are not
  /// spent on it.
  template <typename F>
  void offer(std::size_t budget, std::size_t overhead, std::size_t count_max, F&& f) const {
    for (std::size_t i = 0; i < order_.size() && count_max > 0; ++i) {
      const std::size_t cost = order_[i].size + overhead;
      if (cost > budget) continue;
      f(view(order_[i]));
      budget -= cost;
      --count_max;
    }
  }

  /// Whether this message still waits for transmissions.
  [[nodiscard]] bool pending(Token token) const;
  [[nodiscard]] std::size_t size() const { return order_.size(); }
  [[nodiscard]] bool empty() const { return order_.empty(); }
  [[nodiscard]] std::uint64_t dropped() const { return dropped_; }

 private:
  static constexpr std::size_t kNone = ~std::size_t{0};
  static constexpr std::size_t kTakenMax = 255;

  struct Key {
    std::uint32_t transmits = 0;
    std::uint32_t size = 0;
    Token token = 0;  // Grows: larger is newer.
    std::uint64_t name = 0;
    std::uint32_t slot = 0;
    [[nodiscard]] bool before(const Key& other) const;
  };

  /// Messages of one size class. Small ones have a shelf of their own: in a cluster that comes up every queue holds a
  /// message about each member, and in places for the longest each would cost 1.4 kB of touched memory, not 0.2.
  template <std::size_t kBytesMax>
  class Shelf {
   public:
    explicit Shelf(std::size_t capacity) : places_(capacity), free_(capacity) {}
    std::uint32_t put(Bytes message) {
      std::uint32_t place = 0;
      if (free_.empty()) {
        place = static_cast<std::uint32_t>(places_.size());
        places_.emplace_back();
      } else {
        place = free_.back();
        free_.pop_back();
      }
      SHOAL_ASSERT(places_[place].assign(message));
      return place;
    }
    void take_away(std::uint32_t place) { free_.push_back(place); }
    [[nodiscard]] Bytes view(std::uint32_t place) const { return places_[place].view(); }

   private:
    FixedVector<FixedBytes<kBytesMax>> places_;
    FixedVector<std::uint32_t> free_;
  };
  static constexpr std::size_t kSmallBytesMax = 188;

  [[nodiscard]] Bytes view(const Key& key) const {
    return key.size <= kSmallBytesMax ? small_.view(key.slot) : large_.view(key.slot);
  }
  void take_away(const Key& key) {
    if (key.size <= kSmallBytesMax) return small_.take_away(key.slot);
    large_.take_away(key.slot);
  }
  [[nodiscard]] std::size_t next_fit(std::size_t budget, std::size_t overhead) const;
  [[nodiscard]] std::size_t lower_bound(const Key& key) const;
  void insert(const Key& key);
  void remove(std::size_t at);
  void put_back(std::uint32_t limit);

  Shelf<kSmallBytesMax> small_;
  Shelf<kMessageBytesMax> large_;
  FixedVector<Key> order_;  // Sorted.
  FixedVector<Key> taken_;
  Token last_token_ = 0;
  std::uint64_t dropped_ = 0;
};

}  // namespace shoal::swim
