// Virtual time: what is to happen, in order; what is due at the same instant happens in the order in which it was said.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <queue>
#include <utility>
#include <vector>

#include "base/time.h"

namespace shoal::test {

class Timeline {
 public:
  [[nodiscard]] Instant now() const { return now_; }
  void at(Instant when, std::function<void()> what) {
    queue_.push_back(Event{when < now_ ? now_ : when, ++said_, std::move(what)});
    std::push_heap(queue_.begin(), queue_.end(), later);
  }
  void after(Duration wait, std::function<void()> what) { at(now_ + wait, std::move(what)); }

  [[nodiscard]] Instant next() const { return queue_.empty() ? kNever : queue_.front().when; }
  /// REQUIRES: next() is not kNever.
  void run_next() {
    std::pop_heap(queue_.begin(), queue_.end(), later);
    const Event event = std::move(queue_.back());
    queue_.pop_back();
    now_ = event.when;
    event.what();
  }
  /// REQUIRES: nothing is due before.
  void pass_to(Instant when) { now_ = when; }

 private:
  struct Event {
    Instant when;
    std::uint64_t number;
    std::function<void()> what;
  };
  static bool later(const Event& a, const Event& b) { return a.when != b.when ? a.when > b.when : a.number > b.number; }

  Instant now_{};
  std::uint64_t said_ = 0;
  std::vector<Event> queue_;
};

}  // namespace shoal::test
